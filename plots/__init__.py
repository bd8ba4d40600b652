"""The plots: from a results file to PNG files."""
