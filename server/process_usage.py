"""Peak memory of this process. Standard library only, but for systems without /proc."""

import sys
from pathlib import Path


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
