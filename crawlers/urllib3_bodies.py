"""Reads a urllib3 body with one deadline: urllib3's own timeouts bound each read, not the whole."""

from collections.abc import Iterator
from time import monotonic_ns

import urllib3

_CHUNK_BYTES = 65_536


def read_whole(response: urllib3.BaseHTTPResponse, deadline_ns: int) -> Iterator[bytes]:
    """Yield the pieces of the body, as they are read.

    Raises TimeoutError at the deadline, an instant of CLOCK_MONOTONIC, and urllib3's own
    exceptions; the connection is then closed.
    """
    is_whole = False
    try:
        while True:
            left_s = (deadline_ns - monotonic_ns()) / 1e9
            if left_s <= 0:
                raise TimeoutError
            if (sock := getattr(response.connection, "sock", None)) is not None:
                sock.settimeout(left_s)
            chunk = response.read1(_CHUNK_BYTES)
            if not chunk:
                if monotonic_ns() > deadline_ns:  # http.client waits for each line of framing
                    raise TimeoutError
                is_whole = True
                return
            yield chunk
    finally:
        if not is_whole:
            response.close()
