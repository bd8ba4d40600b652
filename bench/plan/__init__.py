"""Plans an experiment: delays, entrants, cells, and the order of runs. Pure."""
