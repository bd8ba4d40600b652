"""The error words for urllib3's exceptions, which requests wraps too."""

import http.client
import ssl
from collections.abc import Iterator

import urllib3.exceptions as urllib3_errors

# In this order: InvalidChunkLength is an IncompleteRead too, and RemoteDisconnected is a
# ConnectionResetError and a BadStatusLine.
_WORDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((urllib3_errors.NewConnectionError, urllib3_errors.SSLError, ssl.SSLError), "connect"),
    ((urllib3_errors.TimeoutError, TimeoutError), "timeout"),
    ((urllib3_errors.InvalidChunkLength,), "malformed"),
    ((http.client.RemoteDisconnected, http.client.IncompleteRead), "closed"),
    ((ConnectionResetError, ConnectionAbortedError, BrokenPipeError), "reset"),
    ((http.client.HTTPException,), "malformed"),
)


def error_word(exception: BaseException) -> str:
    """Return the error word for a failure."""
    chain = list(_with_causes(exception))
    for kinds, word in _WORDS:
        if any(isinstance(error, kinds) for error in chain):
            return word
    return "failed"


def _with_causes(exception: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that it wraps: urllib3 keeps them in `args` and `reason`."""
    yield exception
    for inner in (*exception.args, getattr(exception, "reason", None), exception.__cause__):
        if isinstance(inner, BaseException):
            yield from _with_causes(inner)
