"""The error words for Twisted's exceptions, which Scrapy wraps too."""

from collections.abc import Iterator

from twisted.internet import defer, error
from twisted.web.client import ResponseFailed, ResponseNeverReceived

_MALFORMED = ("ParseError", "BadResponseVersion", "_MalformedChunkedDataError")
"""Private exception names of Twisted."""
_TLS = ("OpenSSL", "service_identity")
"""Packages with which Twisted checks certificates; Twisted imports them when https is used."""


def error_word(exception: BaseException) -> str:
    """Return the error word for a failure."""
    for one in _with_causes(exception):
        match one:
            # Only fetches that take too long are cancelled.
            case (
                defer.CancelledError()
                | defer.TimeoutError()
                | error.TimeoutError()
                | error.ConnectingCancelledError()
            ):
                return "timeout"
            case error.ConnectError() | error.DNSLookupError():
                return "connect"
            case error.ConnectionLost():
                return "reset"
            case error.ConnectionDone():
                return "closed"
            case ValueError():
                return "malformed"
        if type(one).__module__.partition(".")[0] in _TLS:
            return "connect"
        if type(one).__name__ in _MALFORMED:
            return "malformed"
    return "failed"


def _with_causes(exception: BaseException) -> Iterator[BaseException]:
    """Yield a failure and its causes, which Twisted wraps in lists of failures."""
    if isinstance(exception, ResponseFailed | ResponseNeverReceived):
        for failure in exception.reasons:
            yield from _with_causes(failure.value)
    yield exception
