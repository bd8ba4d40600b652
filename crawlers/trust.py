"""Which certificates of https servers a crawl accepts; set once per process, before the crawl.

`crawl()` has no argument for it, since most crawls use http. A crawler passes `ssl_context()` to
its library, or the values of `trusted()`.
"""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True)
class Trust:
    """The accepted certificates; by default those that each library accepts."""

    cafile: str = ""
    """PEM file of the authorities to trust instead."""
    is_insecure: bool = False
    """Whether any certificate of any host is accepted."""


BY_DEFAULT = Trust()

_trust = BY_DEFAULT


def trust(wanted: Trust) -> None:
    """Set what this process accepts from now on."""
    global _trust
    _trust = wanted
    if wanted.cafile:
        # OpenSSL's own variable, for crawlers of users that do not call ssl_context.
        os.environ["SSL_CERT_FILE"] = wanted.cafile
    if wanted.is_insecure:
        # The user asked for this; urllib3 would warn once per connection.
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")


def trusted() -> Trust:
    """Return what `trust` has set."""
    return _trust


def ssl_context(
    create: "Callable[..., ssl.SSLContext] | None" = None,
) -> "ssl.SSLContext | None":
    """Return a context for a client library; None if the library's default is right.

    `create` makes it, for libraries that cannot use ssl.create_default_context. Raises OSError for
    a file that cannot be read or has no certificates.
    """
    if _trust == BY_DEFAULT:
        return None
    # Imported only on demand: gevent has patched it by then, and http does not need it.
    import ssl

    context = (create or ssl.create_default_context)(cafile=_trust.cafile or None)
    if _trust.is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
