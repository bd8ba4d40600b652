"""Checks that a worker would measure the same as this machine. Pure."""

import platform

from bench.cluster.errors import ClusterError
from bench.cluster.on_worker import Facts
from server import __version__


def check_alike(name: str, answer: Facts | Exception) -> Facts:
    """Return what a worker has answered. Raises ClusterError if it cannot take part."""
    here = f"crawlbench {__version__} on Python {platform.python_version()}"
    # Functions are sent by reference: a worker without crawlbench cannot find them.
    if isinstance(answer, ImportError | AttributeError):
        raise ClusterError(
            f"worker {name} has no crawlbench, or another version ({answer}): install {here} there"
        )
    if isinstance(answer, Exception):
        raise ClusterError(f"worker {name} does not answer ({answer!r}): restart it")
    there = f"crawlbench {answer.version} on Python {answer.python}"
    if there != here:
        raise ClusterError(
            f"worker {name} has {there}, and this is {here}: results would mix both, so use the "
            "same on all machines"
        )
    return answer
