"""Which page of a site is what, and which resource links to which: numbers only. Pure.

The backbone is a tree, in which page i has the children `branches` * i + 1 and so on, so that every
page can be reached. Special pages are leaves of it, and only their parent links to them, in their
own way. All other links lead to random pages that are not special. Whatever is random comes from
SHAKE-128 of the seed and a number, or from a permutation that the seed chooses.
"""

import math
import struct
from bisect import bisect_right
from collections.abc import Iterable
from hashlib import shake_128
from itertools import accumulate
from typing import NamedTuple

from server.site.resources import MOST_INDEX, Kind, index_of, kind_of, number_of
from server.site.spec import ORDINARY, SPECIAL, SiteSpec

SITEMAP_PAGES = 1000
"""Pages that one part of the sitemap names."""
HOPS = 4
"""Numbers that are kept for the hops of one chain, or one loop, of redirects."""
MOST_REDIRECTS = 3
ENCODINGS = ("iso-8859-1", "windows-1252", "utf-16-le", "shift_jis", "koi8-r")
_TWO_DRAWS = struct.Struct("<QQ")
_HASHED_BITS = 32


class Link(NamedTuple):
    """One link, as a spider finds it that makes no mistake."""

    number: int
    """Of the resource that it leads to."""
    is_nofollow: bool = False


class PageLinks(NamedTuple):
    """All links of one page, in the order of the document: first `special`, then `pages`."""

    special: list[Link]
    """To the home page, to special pages, and to what is no page."""
    pages: list[int]
    """To pages that are not special: children, the parent, and random ones."""
    spellings: bytes
    """One random byte for each of `pages`: how it is spelled."""
    encoding: str
    """Of the page; "" for UTF-8."""


class Permutation:
    """A permutation of range(count), by slot = (factor * index + shift) mod count."""

    def __init__(self, seed: int, name: str, count: int) -> None:
        draw: int
        shift: int
        draw, shift = _TWO_DRAWS.unpack(shake_128(f"{seed}:{name}".encode()).digest(16))
        self.count = max(1, count)
        # Near the golden ratio, so that neighbours come far apart; the seed varies it.
        factor = self.count * 382 // 1000 + draw % (self.count * 236 // 1000 + 1) or 1
        while math.gcd(factor, self.count) > 1:
            factor += 1
        self.factor, self.shift = factor, shift % self.count
        self.inverse = pow(factor, -1, self.count)

    def slot(self, index: int) -> int:
        """Return where an index is moved to."""
        return (self.factor * index + self.shift) % self.count

    def index(self, slot: int) -> int:
        """Return the index that is moved to a slot."""
        return (slot - self.shift) * self.inverse % self.count


class Layout:
    """The structure of the site of a spec."""

    def __init__(self, spec: SiteSpec) -> None:
        self.spec = spec
        self.pages, self.parents, self.branches = spec.pages, spec.parents, spec.branches
        self.leaves = Permutation(spec.seed, "leaves", self.pages - self.parents)
        self._special_ends = tuple(accumulate(map(spec.count, SPECIAL)))
        self.special = self._special_ends[-1]
        """Slots of leaves below this are special pages."""
        self.plain = self.pages - self.special
        """How many pages are not special. Their ranks are 0 to this: first parents, then leaves."""
        self._ranks = Permutation(spec.seed, "ranks", self.plain)
        self._ordinary_ends = tuple(accumulate(map(spec.count, ORDINARY)))
        self._ordinary = self._ordinary_ends[-1]
        self.loops = spec.count("loops")
        self.has_calendar = spec.count("calendar") > 0
        self.sitemaps = -(-spec.count("sitemap") // SITEMAP_PAGES)
        self._key = f"{spec.seed}:".encode()
        self._draws = struct.Struct(f"<{spec.links}I")
        self._digest_bytes = _TWO_DRAWS.size + 5 * spec.links + spec.branches

    def draws(self, number: int) -> tuple[float, float]:
        """Return two random numbers from 0 to below 1 for a resource."""
        digest = shake_128(self._key + number.to_bytes(8, "little")).digest(_TWO_DRAWS.size)
        first, second = _TWO_DRAWS.unpack(digest)
        return (first >> 11) / 2**53, (second >> 11) / 2**53

    def host_of(self, number: int) -> int:
        """Return the host of a resource that exists."""
        if number <= MOST_INDEX:
            return self.host_of_page(number)
        kind, index = kind_of(number), index_of(number)
        if kind == Kind.OFF_SITE:
            return self.spec.hosts
        if kind == Kind.ROBOTS:
            return index
        if kind in (Kind.SITEMAP, Kind.CALENDAR):
            return 0
        return self.host_of_page(index // HOPS if kind in (Kind.REDIRECT, Kind.LOOP) else index)

    def host_of_page(self, page: int) -> int:
        """Return the host of a page: a multiplicative hash, which is 0 for the home page."""
        return ((page * 2654435761 & 0xFFFFFFFF) * self.spec.hosts) >> _HASHED_BITS

    def special_of(self, page: int) -> str:
        """Return which of SPECIAL a page is; "" for any other."""
        if page < self.parents or not self.special:
            return ""
        slot = self.leaves.slot(page - self.parents)
        return SPECIAL[bisect_right(self._special_ends, slot)] if slot < self.special else ""

    def ordinary_of(self, page: int) -> tuple[str, int]:
        """Return which of ORDINARY a page that is not special is, and its number among them."""
        if not self._ordinary:
            return "", 0
        rank = page
        if page >= self.parents:
            slot = self.leaves.slot(page - self.parents)
            if slot < self.special:
                return "", 0
            rank = self.parents + slot - self.special
        slot = self._ranks.slot(rank)
        if slot >= self._ordinary:
            return "", 0
        which = bisect_right(self._ordinary_ends, slot)
        return ORDINARY[which], slot - (self._ordinary_ends[which - 1] if which else 0)

    def sitemap_pages(self, part: int) -> list[int]:
        """Return the pages that a part of the sitemap names."""
        which = SPECIAL.index("sitemap")
        first = self._special_ends[which - 1] + part * SITEMAP_PAGES
        end = min(first + SITEMAP_PAGES, self._special_ends[which])
        return [self.parents + self.leaves.index(slot) for slot in range(first, end)]

    def redirects_to(self, page: int) -> int:
        """Return how many redirects lead to a page of this difficulty, one after the other."""
        return 1 + page % MOST_REDIRECTS

    def hops_of_loop(self, loop: int) -> int:
        """Return how many redirects a loop has."""
        return 2 + loop % (HOPS - 1)

    def encoding_of_parent(self, page: int) -> str:
        """Return the encoding of a page of which a child has the difficulty `encodings`."""
        return ENCODINGS[page % len(ENCODINGS)]

    def exists(self, number: int) -> bool:
        """Return whether the site has a resource of this number, which is 0 or more."""
        if number <= MOST_INDEX:
            return number < self.pages and self.special_of(number) != "binary"
        kind, index = kind_of(number), index_of(number)
        if kind == Kind.ROBOTS:
            return index < self.spec.hosts
        if kind == Kind.SITEMAP:
            return index < self.sitemaps
        if kind == Kind.REDIRECT:
            page, hop = divmod(index, HOPS)
            is_redirected = page < self.pages and self.special_of(page) == "redirects"
            return is_redirected and hop < self.redirects_to(page)
        if kind == Kind.LOOP:
            loop, hop = divmod(index, HOPS)
            return loop < self.loops and hop < self.hops_of_loop(loop)
        if kind == Kind.CALENDAR:
            return self.has_calendar
        if kind == Kind.BINARY:
            return index < self.pages and self.special_of(index) == "binary"
        return (
            kind == Kind.OFF_SITE
            and index < self.pages
            and self.ordinary_of(index)[0] == "off_site"
        )

    def next_hop(self, number: int) -> int:
        """Return where a redirect leads to, of a chain or of a loop."""
        first, hop = divmod(index_of(number), HOPS)
        if kind_of(number) == Kind.LOOP:
            hop = (hop + 1) % self.hops_of_loop(first)
            return number_of(Kind.LOOP, first * HOPS + hop)
        if hop + 1 < self.redirects_to(first):
            return number + 1
        return first

    def links_of_page(self, page: int) -> PageLinks:
        """Return the links of a page that has content."""
        special: list[Link] = []
        pages: list[int] = []
        encoding = ""
        if page < self.parents:
            special, pages, encoding = self._links_to_children(page)
        if page and len(special) + len(pages) < self.spec.links:
            parent = (page - 1) // self.branches
            if parent:
                pages.append(parent)
            else:
                special.append(Link(0))
        further = self.spec.links - len(special) - len(pages)
        ordinary, nth = self.ordinary_of(page)
        if ordinary == "off_site":
            special.append(Link(number_of(Kind.OFF_SITE, page)))
        elif ordinary == "loops":
            special.append(Link(number_of(Kind.LOOP, nth * HOPS)))
        if not page and self.has_calendar:
            special.append(Link(number_of(Kind.CALENDAR, 0)))
        digest = shake_128(self._key + page.to_bytes(8, "little")).digest(self._digest_bytes)
        if further > 0 and self.plain > 1:
            draws = self._draws.unpack_from(digest, _TWO_DRAWS.size)[:further]
            pages += self._pages_of(draws)
        spellings = digest[len(digest) - len(pages) :]
        return PageLinks(special, pages, spellings, encoding)

    def _pages_of(self, draws: Iterable[int]) -> list[int]:
        """Return a page that is not special, nor the home page, for each random number."""
        others = self.plain - 1
        ranks = [1 + (draw * others >> _HASHED_BITS) for draw in draws]
        if not self.special:
            return ranks  # any order of the pages will do
        # Of each rank, the page, as Permutation.index finds it.
        parents, leaves, inverse = self.parents, self.leaves.count, self.leaves.inverse
        shift = self.special - parents - self.leaves.shift
        return [
            rank if rank < parents else parents + (rank + shift) * inverse % leaves
            for rank in ranks
        ]

    def _links_to_children(self, page: int) -> tuple[list[Link], list[int], str]:
        """Return links to special pages, to others, and the encoding of this page, a parent."""
        links, pages, encoding = [], [], ""
        first = self.branches * page + 1
        for child in range(first, min(first + self.branches, self.pages)):
            special = self.special_of(child)
            if not special:
                pages.append(child)
            elif special == "redirects":
                links.append(Link(number_of(Kind.REDIRECT, child * HOPS)))
            elif special == "binary":
                links.append(Link(number_of(Kind.BINARY, child)))
            elif special != "sitemap":
                links.append(Link(child, special == "nofollow"))
            if special == "encodings":
                encoding = self.encoding_of_parent(page)
        return links, pages, encoding

    def links_of(self, number: int) -> tuple[Link, ...]:
        """Return what a spider that makes no mistake finds at a resource, in order."""
        if number < 0 or not self.exists(number):
            return ()
        kind, index = kind_of(number), index_of(number)
        if kind == Kind.PAGE:
            if self.special_of(index) in ("missing", "errors"):
                return ()
            links = self.links_of_page(index)
            return (*links.special, *map(Link, links.pages))
        if kind in (Kind.REDIRECT, Kind.LOOP):
            return (Link(self.next_hop(number)),)
        if kind == Kind.ROBOTS:
            parts = range(self.sitemaps if index == 0 else 0)
            return tuple(Link(number_of(Kind.SITEMAP, part)) for part in parts)
        if kind == Kind.SITEMAP:
            return tuple(map(Link, self.sitemap_pages(index)))
        if kind == Kind.CALENDAR:
            return tuple(map(Link, self.links_of_month(number)))
        return ()

    def links_of_month(self, number: int) -> list[int]:
        """Return the links of a month: the home page, the month before, and the month after."""
        months = (number - 1, number + 1)
        return [0, *(month for month in months if kind_of(month) == Kind.CALENDAR)]

    @property
    def max_depth(self) -> int:
        """No page is further from the home page than this, by links, with all redirects."""
        depth, page = 0, self.pages - 1
        while page:
            page = (page - 1) // self.branches
            depth += 1
        depth += MOST_REDIRECTS if self.spec.count("redirects") else 0
        # A page of the sitemap: robots.txt, the sitemap, the page.
        return max(depth, 2 if self.sitemaps else 0)
