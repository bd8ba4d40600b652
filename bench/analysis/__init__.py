"""What the records mean: numbers of a run, verdicts, cells, comparisons. Pure."""
