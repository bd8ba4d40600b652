"""A whole web site, a pure function of its spec: what it answers, and what a spider finds in it.

Nothing is stored: each answer is made from the spec and the number of the resource.
"""

from collections.abc import Callable
from typing import NamedTuple

from server.models import Model, Uniform
from server.request_plan import MAX_DELAY_US, MAX_SIZE_BYTES
from server.site.layout import Layout, Link
from server.site.markup import Markup, body_bytes
from server.site.resources import MOST_INDEX, Kind, index_of, kind_of
from server.site.spec import SiteSpec
from server.site.targets import Targets

SLOW_FACTOR = 10
_LARGE_FACTOR = 100
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_DIFFICULTIES: dict[int, str] = {
    Kind.REDIRECT: "redirects",
    Kind.LOOP: "loops",
    Kind.CALENDAR: "calendar",
    Kind.BINARY: "binary",
    Kind.OFF_SITE: "off_site",
}
_ERRORS = {"missing": 404, "binary": 404, "errors": 500}
"""The statuses of pages that have no content, by difficulty. (A file is no page.)"""


class Answer(NamedTuple):
    """The response to a request for something of a site."""

    number: int
    """Of the resource; NO_RESOURCE for nothing that the site has."""
    status: int
    delay_us: int
    extra: str
    """Header lines, each with CRLF at its end; the first is the Content-Type."""
    body: bytes


class Site:
    """The site of a spec, which must have been checked.

    `port` is what its hosts listen on: URLs in its pages name it, and nothing else depends on it.
    """

    def __init__(self, spec: SiteSpec, port: int = 80) -> None:
        self.spec = spec
        self.key = spec.key
        self._layout = Layout(spec)
        self._targets = Targets(self._layout)
        self._markup = Markup(self._layout, self._targets, port)
        self._delay_us_at, self._size_at = map(_quantile, (spec.delay_model(), spec.size_model()))
        self.prefix = self._targets.prefix
        """What the targets of all its resources begin with, but those of robots.txt."""
        self.start_target = self.prefix
        """The home page, on the host 0."""
        self.max_depth = self._layout.max_depth
        """No page is further from the home page than this, by links, with every redirect counted;
        pages of the sitemap by way of robots.txt."""
        self.depth_limit = 2 * self.max_depth + 10
        """What spiders are told: who does not go deeper than this fetches this many months of the
        calendar at most."""

    @property
    def expected_fetches(self) -> int:
        """How many of its resources a spider asks for, roughly."""
        spec = self.spec
        hops = 2 * spec.count("redirects") + 3 * spec.count("loops")  # in the mean
        return spec.pages + spec.hosts + hops

    @property
    def longest_way(self) -> int:
        """How many fetches are one after the other, each of which finds the next, at most."""
        return self.depth_limit if self.spec.count("calendar") else self.max_depth + 2

    def number_of(self, host: int, target: str) -> int:
        """Return the resource that a target names on a host, in any spelling that means the same.

        NO_RESOURCE if there is none.
        """
        return self._targets.number_of(host, target)

    def target_of(self, number: int) -> str:
        """Return the canonical target of a resource that exists."""
        return self._targets.of(number)

    def host_of(self, number: int) -> int:
        """Return the host of a resource that exists; the number of hosts for one that is not of
        the site."""
        return self._layout.host_of(number)

    def links_of(self, number: int) -> tuple[Link, ...]:
        """Return what a spider that makes no mistake finds at a resource, in document order."""
        return self._layout.links_of(number)

    def difficulty_of(self, number: int) -> str:
        """Return the name of what is difficult about a resource; "" for a plain one."""
        if number > MOST_INDEX:
            return _DIFFICULTIES.get(kind_of(number), "")
        special = self._layout.special_of(number)
        if special or number < 0:
            return special
        ordinary = self._layout.ordinary_of(number)[0]
        return ordinary if ordinary in ("slow", "large") else ""

    def status_of(self, number: int) -> int:
        """Return the status of the response to requests for a resource."""
        return self._status_of(number, self.difficulty_of(number))

    def _status_of(self, number: int, difficulty: str) -> int:
        if number <= MOST_INDEX:
            return _ERRORS.get(difficulty, 200) if number >= 0 else 404
        kind, index = kind_of(number), index_of(number)
        if kind in (Kind.REDIRECT, Kind.LOOP):
            return _REDIRECT_STATUSES[index % len(_REDIRECT_STATUSES)]
        return 200

    def delay_us_of(self, number: int) -> int:
        """Return how long the server waits before it answers a request for a resource."""
        return self._delay_us_of(number, self.difficulty_of(number))

    def _delay_us_of(self, number: int, difficulty: str) -> int:
        if number < 0:
            return 0
        delay_us = self._delay_us_at(self._layout, number, 0)
        return min(delay_us * (SLOW_FACTOR if difficulty == "slow" else 1), MAX_DELAY_US)

    def size_of_page(self, page: int) -> int:
        """Return the size in bytes of a page that has content, without making its body."""
        first = page * self.spec.branches + 1
        children = range(first, min(first + self.spec.branches, self.spec.pages))
        size = self._size_of(page, self.difficulty_of(page))
        if any(self._layout.special_of(child) == "encodings" for child in children):
            return body_bytes(size, self._layout.encoding_of_parent(page))
        return size

    def answer(self, host: int, target: str) -> Answer:
        """Return the response to a request for a target on a host."""
        number = self.number_of(host, target)
        difficulty = self.difficulty_of(number)
        status = self._status_of(number, difficulty)
        delay_us = self._delay_us_of(number, difficulty)
        if status == 200 and number <= MOST_INDEX:
            extra, body = self._markup.page(number, self._size_of(number, difficulty))
        else:
            extra, body = self._other_content(number, status)
        return Answer(number, status, delay_us, extra, body)

    def _other_content(self, number: int, status: int) -> tuple[str, bytes]:
        """Return the header lines and the body of what is no page with content."""
        kind, index, markup, layout = kind_of(number), index_of(number), self._markup, self._layout
        if status == 404:
            return markup.plain("There is no such page")
        if status == 500:
            return markup.plain("This page has an error")
        if kind in (Kind.REDIRECT, Kind.LOOP):
            return markup.redirect(number, layout.next_hop(number))
        if kind == Kind.ROBOTS:
            return markup.robots(link.number for link in self.links_of(number))
        if kind == Kind.SITEMAP:
            return markup.sitemap(layout.sitemap_pages(index))
        if kind == Kind.CALENDAR:
            return markup.month(index, layout.links_of_month(number))
        if kind == Kind.BINARY:
            return markup.file(index, self._size_of(number, "binary"))
        return markup.plain("Another site")

    def _size_of(self, number: int, difficulty: str) -> int:
        size = self._size_at(self._layout, number, 1)
        return min(size * (_LARGE_FACTOR if difficulty == "large" else 1), MAX_SIZE_BYTES)


def _quantile(model: Model) -> Callable[[Layout, int, int], int]:
    """Return the value of a model for a resource, by one of its draws."""
    fixed = model.quantile(0.0)
    if isinstance(model, Uniform) and model.low == model.high:
        return lambda layout, number, draw: fixed
    return lambda layout, number, draw: model.quantile(layout.draws(number)[draw])
