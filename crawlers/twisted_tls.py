"""Which https servers Twisted accepts beyond its default: given authorities, or any server."""

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from crawlers.trust import ssl_context


def authorities() -> Any:
    """Return the authorities of a file, as what Twisted is to trust."""
    context = ssl_context()
    ders = context.get_ca_certs(binary_form=True) if context is not None else []
    return trustRootFromCertificates([Certificate.load(der) for der in ders])


@implementer(IPolicyForHTTPS)
class AnyCertificate:
    """A policy that checks neither a certificate's signature nor its name."""

    def __init__(self) -> None:
        self._context = CertificateOptions(verify=False).getContext()

    def creatorForNetloc(self, hostname: bytes, port: int) -> "_Creator":  # noqa: N802
        """Return the options for a server; Agent calls this."""
        del port
        return _Creator(self._context, hostname)


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    def __init__(self, context: SSL.Context, hostname: bytes) -> None:
        self._context = context
        self._hostname = hostname

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:  # noqa: N802
        connection = SSL.Connection(self._context, None)
        connection.set_tlsext_host_name(self._hostname)
        return connection
