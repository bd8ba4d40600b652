"""Derives numbers, verdicts, cells and comparisons from the records of runs. Pure."""
