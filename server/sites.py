"""The sites that a server has: those announced on its control port, and one of its command line."""

from server.site.site import Site
from server.site.spec import SiteError, SiteSpec
from server.site.targets import SITE_PATH

UNKNOWN_SITE = (
    "there is no such site: announce it on the control port (PUT /runs/KEY?rows=N&site=SPEC), or "
    "start the server with --site SPEC"
)


class Sites:
    """The sites of a server that listens on one port of `addresses` addresses.

    Each announced site belongs to an announced run, whose number is limited; a request adds none.
    """

    def __init__(self, port: int = 80, addresses: int = 1, given: SiteSpec | None = None) -> None:
        """Take the site that is there from the start and is never forgotten, if any."""
        self._port = port
        self._addresses = addresses
        self._given = None if given is None else Site(given, port)
        self._announced: dict[str, Site] = {}

    def check(self, spec: SiteSpec) -> None:
        """Raise SiteError if the server does not listen on as many addresses as a site needs."""
        if spec.addresses > self._addresses:
            away = ", one of which is not of the site" if spec.addresses > spec.hosts else ""
            raise SiteError(
                f"site: hosts={spec.hosts}: it needs {spec.addresses} addresses{away}, and this "
                f"server listens on {self._addresses}: start it with "
                f"--site-hosts {spec.addresses}"
            )

    def add(self, spec: SiteSpec) -> None:
        """Add an announced site."""
        self._announced[spec.key] = Site(spec, self._port)

    def forget(self, key: str) -> None:
        """Forget an announced site, if there is one of this key."""
        self._announced.pop(key, None)

    def find(self, path: str) -> Site | None:
        """Return the site of a path below SITE_PATH; for any other, the one announced last."""
        given = self._given
        if path.startswith(SITE_PATH):
            key = path[len(SITE_PATH) :].partition("/")[0]
            is_given = given is not None and given.key == key
            return self._announced.get(key) or (given if is_given else None)
        return next(reversed(self._announced.values()), given)


def host_index(local_host: str) -> int:
    """Return which host of a site has an address: 127.0.0.1 is 0, 127.0.0.2 is 1, others are 0."""
    network, _, last = local_host.rpartition(".")
    return int(last) - 1 if network == "127.0.0" else 0
