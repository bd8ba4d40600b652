"""Stores results: the record of a run, the results file and its folder."""
