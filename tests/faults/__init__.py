"""Faults that are injected, each with what must happen: `scripts/faults` runs them all."""
