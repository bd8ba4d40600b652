"""Runs a command whose monotonic clock is off, by a time namespace. Linux 6.3 or newer, and root.

Usage: python other_clock.py OFFSET_MS COMMAND ...
"""

import ctypes
import os
import sys
from pathlib import Path

_CLONE_NEWTIME = 0x80


def main() -> None:
    """Become the command, in a new time namespace."""
    seconds, nanoseconds = divmod(round(float(sys.argv[1]) * 1e6), 1_000_000_000)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWTIME):
        raise OSError(ctypes.get_errno(), "cannot make a time namespace")
    # Only before the first process is in it: on older kernels a child, on newer ones after exec.
    Path("/proc/self/timens_offsets").write_text(f"monotonic {seconds} {nanoseconds}\n")
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606


if __name__ == "__main__":
    main()
