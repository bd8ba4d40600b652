"""Does the runs: starts servers and crawlers, watches the machine, keeps each run."""
