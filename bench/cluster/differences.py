"""Checks that a worker would measure the same as this machine. Pure."""

import platform

from bench.cluster.errors import ClusterError
from bench.cluster.on_worker import Facts
from server import __version__


def check_alike(name: str, answer: Facts | Exception) -> Facts:
    """Return what a worker has answered. Raises ClusterError if it cannot take part."""
    here = f"crawlbench {__version__} on Python {platform.python_version()}"
    if isinstance(answer, OSError):  # which TimeoutError is, too
        raise ClusterError(f"worker {name} does not answer ({answer!r}): restart it")
    # Functions are sent by reference, so that a worker without crawlbench cannot find them. What
    # comes back is a ModuleNotFoundError, or an Exception whose text is one.
    if isinstance(answer, Exception):
        raise ClusterError(f"worker {name} cannot load crawlbench ({answer}): install {here} there")
    there = f"crawlbench {answer.version} on Python {answer.python}"
    if there != here:
        raise ClusterError(
            f"worker {name} has {there}, and this is {here}: results would mix both, so use the "
            "same on all machines"
        )
    return answer
