"""What this process uses and may use. Standard library only, except on systems without /proc."""

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

_MANY_DESCRIPTORS = 1_000_000


def peak_memory_bytes() -> int:
    """Return the largest resident size that this process has had.

    On Linux it comes from VmHWM, because ru_maxrss also covers the process that started this one.
    """
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import psutil  # only for systems without /proc, since the import takes time

    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))


def children_cpu_ns() -> int:
    """Return the CPU time, user and system, of child processes that have been waited for."""
    try:
        import resource
    except ImportError:  # Windows does not report it
        return 0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((used.ru_utime + used.ru_stime) * 1e9)


_waitpid = os.waitpid  # kept here, because a library may replace it


def reap_children() -> None:
    """Wait for all children that have ended, and for no other.

    `children_cpu_ns` then has the usage of each, to the microsecond. /proc counts in ticks of 10
    ms, which thousands of short programs never reach.
    """
    if hasattr(os, "WNOHANG"):
        with contextlib.suppress(ChildProcessError):
            while _waitpid(-1, os.WNOHANG)[0]:
                pass


def _ignores_sigchld() -> bool:
    """Return whether SIGCHLD is ignored, from the kernel: C code may have set it too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("SigIgn:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGCHLD - 1) & 1)
    return False


def unwaited_cpu_ns() -> int | None:
    """Return the CPU time of all descendants of this process that nobody has waited for.

    It covers descendants in any session, running or ended, and those that they have waited for.
    Once a process is waited for, `children_cpu_ns` includes it. The value has steps of one clock
    tick, 10 ms. It is None where the system does not report it, and where SIGCHLD is ignored: then
    nobody need wait, and the kernel forgets what children used.
    """
    if sys.platform != "linux" or _ignores_sigchld():
        return None
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_bytes()
        except OSError:  # it has ended and has been waited for
            continue
        # A program's name may contain spaces and parentheses; proc(5) puts it before all else.
        words = stat[stat.rindex(b")") + 1 :].split()
        children.setdefault(int(words[1]), []).append(int(folder.name))
        ticks[int(folder.name)] = sum(map(int, words[11:15]))
    total, left = 0, [os.getpid()]
    while left:
        for pid in children.get(left.pop(), ()):
            total += ticks[pid]
            left.append(pid)
    return total * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class ThreadTimes(NamedTuple):
    """The times of one thread since its start, in ns."""

    cpu_ns: int
    waited_ns: int
    """Time in which it could have run, but another thread ran on its CPU."""


def main_thread_times() -> ThreadTimes | None:
    """Return the times of the main thread from Linux's scheduler; None on other systems."""
    path = f"/proc/self/task/{os.getpid()}/schedstat"
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - called twenty times a second between requests
            cpu_ns, waited_ns, _ = file.read().split()
    except (OSError, ValueError):
        return None
    return ThreadTimes(int(cpu_ns), int(waited_ns))


def descriptors_allowed() -> int | None:
    """Return how many open files this process may have now; None if there is no such limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def raise_descriptor_limit() -> int:
    """Raise this process's limit of open files as far as allowed; return the limit."""
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
