"""Why runs cannot be made on a cluster."""

from bench.errors import MachineError
from crawlers.installed import command_to_install


class ClusterError(MachineError):
    """A cluster that cannot be used; the text names the worker or the scheduler, and the fix."""


class NoDaskError(ClusterError):
    """The library is not installed."""

    def __init__(self) -> None:
        super().__init__(f"--cluster needs distributed: {command_to_install('distributed')}")
