"""Negative controls: dishonest crawlers, sick servers and a busy machine, and what is said of them.

`scripts/controls` runs them all and prints the verdicts.
"""
