"""Why runs cannot be made on a cluster."""

from bench.errors import MachineError


class ClusterError(MachineError):
    """A cluster that cannot be used; the text names the worker or the scheduler, and the fix."""


class NoDaskError(ClusterError):
    """The library is not installed."""

    def __init__(self) -> None:
        super().__init__("--cluster needs distributed: pip install 'crawlbench[cluster]'")
