"""What this process uses and may use. Standard library only, but for systems without /proc."""

import contextlib
import os
import signal
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


_waitpid = os.waitpid  # before a library may replace it


def reap_children() -> None:
    """Wait for children that have ended, and for none that has not.

    `children_cpu_ns` then has what each used, to the microsecond: /proc counts in ticks of 10 ms,
    which thousands of short programs never reach.
    """
    if hasattr(os, "WNOHANG"):
        with contextlib.suppress(ChildProcessError):
            while _waitpid(-1, os.WNOHANG)[0]:
                pass


def _ignores_sigchld() -> bool:
    """By the kernel's own account: the signal module does not know what C code has set."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("SigIgn:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGCHLD - 1) & 1)
    return False


def unwaited_cpu_ns() -> int | None:
    """CPU time of all processes that descend from this one and that nobody has waited for.

    In whatever session they are, and whether they still run; and of those that they have waited
    for. Once one is waited for, `children_cpu_ns` has it. In steps of a clock tick, 10 ms. None
    where the system does not say, or where nobody need wait, since SIGCHLD is ignored: then the
    kernel forgets what children used.
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
        except OSError:  # it has ended, and been waited for
            continue
        # A program may have spaces and parentheses in its name: proc(5) has them before all else.
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
