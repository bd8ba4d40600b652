"""What this process uses and may use. Standard library only, but for systems without /proc."""

import contextlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

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


def children_cpu_ns() -> int:
    """CPU time, user and system, of the processes that this one started and has waited for."""
    try:
        import resource
    except ImportError:  # Windows does not say
        return 0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((used.ru_utime + used.ru_stime) * 1e9)


class ThreadTimes(NamedTuple):
    """Of one thread since its start, in ns."""

    cpu_ns: int
    waited_ns: int
    """It could have run, and another ran on its CPU."""


def main_thread_times() -> ThreadTimes | None:
    """Of this process's main thread, from the scheduler of Linux; None where it does not say."""
    path = f"/proc/self/task/{os.getpid()}/schedstat"
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - twenty times a second beside requests
            cpu_ns, waited_ns, _ = file.read().split()
    except (OSError, ValueError):
        return None
    return ThreadTimes(int(cpu_ns), int(waited_ns))


def descriptors_allowed() -> int | None:
    """How many open files this process may have now; None: no such limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


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
