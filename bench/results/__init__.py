"""Keeps what was measured: the record of a run, the results file, its folder."""
