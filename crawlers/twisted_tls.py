"""What Twisted accepts of https servers beyond its default: certain authorities, or anybody."""

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from crawlers.trust import ssl_context


def authorities() -> Any:
    """Those of the file that was named, as what is to be trusted."""
    context = ssl_context()
    ders = context.get_ca_certs(binary_form=True) if context is not None else []
    return trustRootFromCertificates([Certificate.load(der) for der in ders])


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
