"""What is asked: delays, entrants, cells, and the order of runs. Pure."""
