"""What this process uses and may use. Standard library only, but for systems without /proc."""

import contextlib
import sys
from pathlib import Path

_MANY_DESCRIPTORS = 1_000_000


def peak_memory_bytes() -> int:
    """The largest resident size that this process has had.

    On Linux from VmHWM: the kernel hands ru_maxrss down from the process that started this one.
    """
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import psutil  # where there is no /proc; not worth its import time elsewhere

    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))


def raise_descriptor_limit() -> int:
    """Allow this process as many open files as the system does; returns how many that is."""
    try:
        import resource
    except ImportError:  # Windows has no such limit for sockets
        return _MANY_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS reports no hard limit, and refuses more than this.
    wanted = _MANY_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
