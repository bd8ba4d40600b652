"""What a site is: which of its resources should be fetched, which may, and which must not. Pure.

The pages that should be fetched are those that a spider reaches that follows every link it may
follow. Everything else that it meets on the way (robots.txt, the sitemap, redirects, pages that are
missing or have an error, files) it may fetch, once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from server.site.layout import Layout
from server.site.resources import Kind, kind_of, number_of
from server.site.site import Site
from server.site.spec import DIFFICULTIES, SiteSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLAIN = ""
"""The difficulty of a resource that has none."""
NAMES = (PLAIN, *DIFFICULTIES)
"""Difficulties by their code in arrays."""
NO_CONTENT = ("missing", "errors", "binary")
"""Difficulties of pages that a spider may ask for, and that have no content of their own."""
FORBIDDEN = "disallowed"
AGAINST_ADVICE = "nofollow"
REACHABLE = tuple(name for name in NAMES if name not in (*NO_CONTENT, FORBIDDEN, AGAINST_ADVICE))
"""Difficulties of pages that should be fetched."""
_CODE = {name: code for code, name in enumerate(NAMES)}


@dataclass(frozen=True)  # no slots, because cached properties are stored in __dict__
class Truth:
    """A site in arrays with a value for each page, by its number."""

    site: Site

    @cached_property
    def difficulty(self) -> "NDArray[np.int8]":
        """The difficulty of each page, as its place in NAMES."""
        difficulty_of, code = self.site.difficulty_of, _CODE
        codes = bytes(code[difficulty_of(page)] for page in range(self.site.spec.pages))
        return np.frombuffer(codes, dtype=np.int8)

    @cached_property
    def host(self) -> "NDArray[np.int64]":
        """The host of each page."""
        return self._of_pages(self.site.host_of)

    @cached_property
    def delay_us(self) -> "NDArray[np.int64]":
        """The delay of each page in microseconds."""
        return self._of_pages(self.site.delay_us_of)

    @cached_property
    def size_bytes(self) -> "NDArray[np.int64]":
        """The size of each page in bytes, if it has content."""
        return self._of_pages(self.site.size_of_page)

    @cached_property
    def status(self) -> "NDArray[np.int64]":
        """The status of the response to a request for each page."""
        return self._of_pages(self.site.status_of)

    def _of_pages(self, value: Callable[[int], int]) -> "NDArray[np.int64]":
        pages = self.site.spec.pages
        return np.fromiter(map(value, range(pages)), dtype=np.int64, count=pages)

    def should_be_fetched(self, omits: Iterable[str] = ()) -> "NDArray[np.bool_]":
        """Return for each page whether a spider should fetch it that omits these difficulties."""
        wanted = [code for code, name in enumerate(NAMES) if name in set(REACHABLE) - set(omits)]
        return np.isin(self.difficulty, wanted)

    def is_of(self, numbers: "NDArray[np.int64]", difficulty: str) -> "NDArray[np.bool_]":
        """Return for each resource whether it is a page of this difficulty."""
        is_page = self.is_page(numbers)
        is_page[is_page] = self.difficulty[numbers[is_page]] == _CODE[difficulty]
        return is_page

    def is_page(self, numbers: "NDArray[np.int64]") -> "NDArray[np.bool_]":
        """Return for each resource whether it is a page, even one without content."""
        return (numbers >= 0) & (numbers < self.site.spec.pages)

    def delays_us_of(self, numbers: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """Return the delay of each resource in microseconds; 0 for NO_RESOURCE."""
        return self._look_up(numbers, self.delay_us, self.site.delay_us_of)

    def statuses_of(self, numbers: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """Return the status of the response for each resource; 404 for NO_RESOURCE."""
        return self._look_up(numbers, self.status, self.site.status_of)

    def hosts_of(self, numbers: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """Return the host of each resource; -1 for NO_RESOURCE."""
        return self._look_up(
            numbers, self.host, lambda number: self.site.host_of(number) if number >= 0 else -1
        )

    def _look_up(
        self,
        numbers: "NDArray[np.int64]",
        of_pages: "NDArray[np.int64]",
        of_other: Callable[[int], int],
    ) -> "NDArray[np.int64]":
        is_page = self.is_page(numbers)
        found = np.empty(len(numbers), dtype=np.int64)
        found[is_page] = of_pages[numbers[is_page]]
        others, place = np.unique(numbers[~is_page], return_inverse=True)
        values = np.array([of_other(number) for number in others.tolist()], dtype=np.int64)
        found[~is_page] = values[place]
        return found


@lru_cache(maxsize=4)
def truth_of(site: str) -> Truth:
    """Return what the site of a spec's text is; its arrays are computed when they are needed."""
    return Truth(Site(SiteSpec.parse(site)))


@dataclass(frozen=True)  # no slots, because cached properties are stored in __dict__
class LinkGraph:
    """What a spider follows that makes no mistake, and omits what it declares to omit."""

    truth: Truth
    omits: tuple[str, ...] = ()
    start = 0
    """The home page."""

    def links_of(self, number: int) -> list[int]:
        """Return the resources that it follows from one, in the order of the document."""
        may, pages = self._may_follow, self.truth.site.spec.pages
        if number < pages:
            if not self._has_links[number]:
                return []
            own, further, *_ = self._layout.links_of_page(number)
            links = [link.number for link in own if not link.is_nofollow]
            links += further
        else:
            links = [one.number for one in self.truth.site.links_of(number) if not one.is_nofollow]
        return [link for link in links if (may[link] if link < pages else self._may_go(link))]

    def delay_ns_of(self, number: int) -> int:
        """Return the delay of a resource."""
        is_page = number < self.truth.site.spec.pages
        delay_us = self._delays_us[number] if is_page else self.truth.site.delay_us_of(number)
        return delay_us * 1000

    def host_of(self, number: int) -> int:
        """Return the host of a resource."""
        return self.truth.site.host_of(number)

    def robots_of(self, host: int) -> int | None:
        """Return the robots.txt of a host, which is read before its pages."""
        return number_of(Kind.ROBOTS, host)

    @cached_property
    def _layout(self) -> Layout:
        return Layout(self.truth.site.spec)

    @cached_property
    def _may_follow(self) -> bytes:
        kept_from = [_CODE[FORBIDDEN], *(_CODE[name] for name in self.omits)]
        return (~np.isin(self.truth.difficulty, kept_from)).astype(np.uint8).tobytes()

    @cached_property
    def _has_links(self) -> bytes:
        empty = [_CODE[name] for name in NO_CONTENT]
        return (~np.isin(self.truth.difficulty, empty)).astype(np.uint8).tobytes()

    @cached_property
    def _delays_us(self) -> list[int]:
        delays: list[int] = self.truth.delay_us.tolist()
        return delays

    def _may_go(self, number: int) -> bool:
        kind = kind_of(number)
        if kind == Kind.OFF_SITE:
            return False
        name = "sitemap" if kind == Kind.SITEMAP else self.truth.site.difficulty_of(number)
        return name not in self.omits
