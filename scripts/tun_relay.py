"""Joins two network namespaces by a slow wire: packets that leave one reach the other later.

Usage: python tun_relay.py WIRE NAMESPACE/ADDRESS/BITS NAMESPACE/ADDRESS/BITS DELAY_MS. Linux, and
root. Each namespace gets a TUN device named WIRE with its address. Runs until it is killed; the
devices then go, too.
"""

import ctypes
import fcntl
import os
import selectors
import struct
import subprocess
import sys
from collections import deque
from time import monotonic, sleep

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI, _CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000
_SPIN_S = 0.0003
"""How long before a packet is due the relay stops to sleep: a sleep ends up to this much late."""


def open_wire(wire_name: str, namespace: str, address: str) -> int:
    """Make the device in a namespace, and return the file from which its packets are read."""
    libc = ctypes.CDLL(None, use_errno=True)
    at = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if libc.setns(at, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"cannot enter the namespace {namespace}")
    os.close(at)
    wire = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(wire, _TUNSETIFF, struct.pack("16sH", wire_name.encode(), _IFF_TUN | _IFF_NO_PI))
    for command in (
        f"addr add {address} dev {wire_name}",
        f"link set {wire_name} txqueuelen 10000 up",
    ):
        subprocess.run(["ip", *command.split()], check=True)  # noqa: S607
    return wire


def relay(wires: tuple[int, int], delay_s: float) -> None:
    """Pass packets on, each after a delay, for ever."""
    selector = selectors.DefaultSelector()
    selector.register(wires[0], selectors.EVENT_READ, wires[1])
    selector.register(wires[1], selectors.EVENT_READ, wires[0])
    on_the_way: deque[tuple[float, int, bytes]] = deque()
    while True:
        left_s = on_the_way[0][0] - monotonic() if on_the_way else None
        for key, _ in selector.select(None if left_s is None else max(0.0, left_s - _SPIN_S)):
            try:
                while True:
                    packet = os.read(key.fd, 65_536)
                    on_the_way.append((monotonic() + delay_s, key.data, packet))
            except BlockingIOError:
                pass
        while on_the_way and on_the_way[0][0] <= monotonic():
            _, wire, packet = on_the_way.popleft()
            try:
                os.write(wire, packet)
            except BlockingIOError:
                sleep(0)  # a full queue loses packets, as on any wire


def main() -> None:
    """Open both ends and relay."""
    wire_name, one, other, delay_ms = sys.argv[1:]
    wires = [open_wire(wire_name, *end.split("/", 1)) for end in (one, other)]
    relay((wires[0], wires[1]), float(delay_ms) / 1e3)


if __name__ == "__main__":
    main()
