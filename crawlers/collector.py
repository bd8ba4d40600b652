"""How often Python's garbage collector runs while a crawler works."""

import gc

THRESHOLDS = 50_000, 10, 10
"""Python's own first threshold, 700 up to 3.13, is reached by the objects of a few hundred requests
in flight, so that the collector scans them again and again, and frees nothing. docs/crawlers.md has
what was measured."""


def collect_less_often() -> None:
    """Raise the thresholds of the collector for the rest of this process."""
    gc.set_threshold(*THRESHOLDS)
