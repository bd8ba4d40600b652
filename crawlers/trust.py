"""Which certificates of https servers a crawl accepts: told to its process once, before it begins.

`crawl()` has no word for it, since most crawls are of http. A crawler hands `ssl_context()` to its
library, or what `trusted()` says.
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
    """By default whatever each library trusts by itself."""

    cafile: str = ""
    """PEM file of the authorities to trust instead."""
    is_insecure: bool = False
    """Any certificate is accepted, of any host."""


BY_DEFAULT = Trust()

_trust = BY_DEFAULT


def trust(wanted: Trust) -> None:
    """From now on, in this process."""
    global _trust
    _trust = wanted
    if wanted.cafile:
        # OpenSSL's own word for it, for crawlers brought along that do not ask here.
        os.environ["SSL_CERT_FILE"] = wanted.cafile
    if wanted.is_insecure:
        # That was asked for: urllib3 would say so once for each connection.
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")


def trusted() -> Trust:
    """What was told."""
    return _trust


def ssl_context(
    create: "Callable[..., ssl.SSLContext] | None" = None,
) -> "ssl.SSLContext | None":
    """For a client library; None: its own default is right.

    `create` makes it, where ssl.create_default_context is not for this library. Raises OSError for
    a file that cannot be read, or has no certificates.
    """
    if _trust == BY_DEFAULT:
        return None
    # Imported when it is asked for: gevent has patched it by then, and http needs none of it.
    import ssl

    context = (create or ssl.create_default_context)(cafile=_trust.cafile or None)
    if _trust.is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
