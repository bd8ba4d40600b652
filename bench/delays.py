"""Seeded delay models: how long each request of a run asks the server to wait. Pure."""

from array import array


def fixed(delay_us: int, requests: int) -> "array[int]":
    """The same delay for all, in microseconds."""
    return array("I", [delay_us]) * requests
