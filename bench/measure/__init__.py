"""Does what is asked: starts servers and crawlers, watches the machine, keeps each run."""
