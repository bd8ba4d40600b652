"""What Twisted accepts of https servers beyond its default: certain authorities, or anybody."""

from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

_END = "-----END CERTIFICATE-----"


def authorities_of(cafile: str) -> Any:
    """The certificates of a PEM file, as what is to be trusted."""
    pems = Path(cafile).read_text().split(_END)[:-1]
    return trustRootFromCertificates([Certificate.loadPEM((pem + _END).encode()) for pem in pems])


@implementer(IPolicyForHTTPS)
class AnyCertificate:
    """Neither a certificate's signature nor its name is looked at."""

    def __init__(self) -> None:
        self._context = CertificateOptions(verify=False).getContext()

    def creatorForNetloc(self, hostname: bytes, port: int) -> "_Creator":  # noqa: N802
        """Called by Agent."""
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
