"""The spec of a site, and its text: `seed=1;pages=1000;links=20;size=5000;delay=20;hosts=1`. Pure.

Everything that a site is follows from its spec. Standard library only.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from typing import NamedTuple, Self

from server.models import (
    Model,
    ModelError,
    format_bytes,
    format_ms,
    parse_delays,
    parse_sizes,
)
from server.request_plan import MAX_SIZE_BYTES, quoted

MOST_PAGES = 10_000_000
MOST_HOSTS = 200
MOST_SEED = 10**15
MOST_CRAWL_DELAY_S = 60.0
MOST_SHARE_PERCENT = 50.0
"""The most that the shares of the difficulties that fall on pages may add up to."""
MOST_BRANCHES = 10

_HEAD_BYTES = 360
_LINK_BYTES = 88
_EXTRA_LINKS = 3
"""A page may also link to a loop, to the calendar and to another site."""
_DECIMAL = re.compile(r"\d{1,9}(\.\d{1,3})?", re.ASCII)


class SiteError(ValueError):
    """A text that describes no site; the message names the value and the fix, in one line."""


class Difficulty(NamedTuple):
    """Something that makes a site hard to crawl."""

    share_percent: float
    """How much of it `with=all` means: the share of the site's pages, unless the summary says so.
    """
    summary: str


DIFFICULTIES: dict[str, Difficulty] = {
    "spellings": Difficulty(
        20,
        "of all links: another spelling of the URL (fragment, `..`, percent-encoding, order of "
        "the query)",
    ),
    "redirects": Difficulty(2, "pages that are only reached through 1 to 3 redirects"),
    "loops": Difficulty(0.2, "redirects that lead to each other, linked by a page"),
    "missing": Difficulty(1, "pages that are linked and do not exist: 404"),
    "errors": Difficulty(1, "pages that always fail: 500"),
    "disallowed": Difficulty(3, "pages that robots.txt disallows"),
    "nofollow": Difficulty(1, "pages that are only linked with rel=nofollow"),
    "calendar": Difficulty(1, "1: an endless calendar, linked by the home page"),
    "sitemap": Difficulty(1, "pages that only the sitemap names"),
    "binary": Difficulty(1, "linked files that are not HTML, with bytes that look like a link"),
    "encodings": Difficulty(
        2,
        "pages whose only link has letters beyond ASCII, on a page that is not in UTF-8",
    ),
    "slow": Difficulty(1, "pages with ten times the delay"),
    "large": Difficulty(0.5, "pages of a hundred times the size"),
    "off_site": Difficulty(1, "pages that link to an address that is not of the site"),
}
"""All difficulties by name, in the order of a spec's text."""

SPECIAL = (
    "redirects",
    "missing",
    "errors",
    "disallowed",
    "nofollow",
    "sitemap",
    "binary",
    "encodings",
)
"""Those of a page that only one other page links to, in its own way: they take leaves."""

ORDINARY = ("slow", "large", "off_site", "loops")
"""Those of pages that any page may link to."""


@dataclass(frozen=True, slots=True)
class SiteSpec:
    """What a site is a function of. `check` says whether the values make sense."""

    seed: int = 1
    pages: int = 1000
    links: int = 20
    """Per page, including the one back."""
    size: str = "5000"
    """Bytes per page, a model of server.models. (A page in UTF-16 has two per character.)"""
    delay: str = "20"
    """Delay of each response in ms, a model of server.models."""
    hosts: int = 1
    crawl_delay_s: float = 0.0
    """Crawl-delay of robots.txt; 0 for none."""
    difficulties: tuple[tuple[str, float], ...] = ()
    """Name and share in percent, of those that the site has."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the spec of a text; `with=all` stands for all difficulties at their shares.

        Raises SiteError.
        """
        values: dict[str, str] = {}
        for piece in filter(None, text.split(";")):
            key, equals, value = piece.partition("=")
            if key not in (*_KEYS, *DIFFICULTIES):
                raise SiteError(f"site {quoted(piece)}: {_unknown(key, equals)}")
            if not value:
                raise SiteError(f"site {quoted(piece)}: a value is missing, as in pages=1000")
            if key in values:
                raise SiteError(f"site {quoted(piece)}: {key} is given twice")
            values[key] = value
        shares = _named_shares(values.get("with", ""))
        for name in DIFFICULTIES:
            if name in values:
                shares[name] = _decimal(name, values[name])
        spec = cls(
            seed=_whole("seed", values.get("seed", "1")),
            pages=_whole("pages", values.get("pages", "1000")),
            links=_whole("links", values.get("links", "20")),
            size=_sizes(values.get("size", "5000")).format(format_bytes),
            delay=_delays(values.get("delay", "20")).format(format_ms),
            hosts=_whole("hosts", values.get("hosts", "1")),
            crawl_delay_s=_decimal("crawl-delay", values.get("crawl-delay", "0")),
            difficulties=tuple((name, shares[name]) for name in DIFFICULTIES if shares.get(name)),
        )
        spec.check()
        return spec

    @property
    def text(self) -> str:
        """The text that parses to this spec; the same for every way to write it."""
        values = {
            "seed": str(self.seed),
            "pages": str(self.pages),
            "links": str(self.links),
            "size": self.size_model().format(format_bytes),
            "delay": self.delay_model().format(format_ms),
            "hosts": str(self.hosts),
        }
        if self.crawl_delay_s:
            values["crawl-delay"] = _decimal_text(self.crawl_delay_s)
        shares = dict(self.difficulties)
        for name in DIFFICULTIES:
            if shares.get(name):
                values[name] = _decimal_text(shares[name])
        return ";".join(f"{key}={value}" for key, value in values.items())

    @property
    def key(self) -> str:
        """The short name of the site, which its URLs and its run have."""
        return f"{self.seed}-{sha256(self.text.encode()).hexdigest()[:8]}"

    @property
    def addresses(self) -> int:
        """How many addresses serve it: its hosts, and one that is not of the site if it has links
        there."""
        return self.hosts + (self.share_percent("off_site") > 0)

    @property
    def branches(self) -> int:
        """How many children a page of the backbone has: page i has i * branches + 1 and so on."""
        return max(2, min(MOST_BRANCHES, self.links // 2))

    @property
    def parents(self) -> int:
        """How many pages have children, or 1: the pages from 0 on. All others are leaves."""
        return max(1, -(-(self.pages - 1) // self.branches))

    @property
    def least_size(self) -> int:
        """The characters that hold all links of any page."""
        if self.pages == 1:
            return _HEAD_BYTES
        longest = _LINK_BYTES + len(self.key) + len(str(self.pages)) * 2
        return _HEAD_BYTES + (max(self.links, self.branches + 1) + _EXTRA_LINKS) * longest

    def share_percent(self, name: str) -> float:
        """Return the share of a difficulty; 0 for one that the site does not have."""
        return dict(self.difficulties).get(name, 0.0)

    def count(self, name: str) -> int:
        """Return how many pages (or loops) a difficulty concerns: at least 1 if it has any."""
        share = self.share_percent(name)
        return max(1, round(self.pages * share / 100)) if share else 0

    def size_model(self) -> Model:
        """Return the model of sizes. Raises SiteError."""
        return _sizes(self.size)

    def delay_model(self) -> Model:
        """Return the model of delays. Raises SiteError."""
        return _delays(self.delay)

    def check(self) -> None:
        """Raise SiteError for values of the right types that make no sense."""
        _check_between("seed", self.seed, 0, MOST_SEED)
        _check_between("pages", self.pages, 1, MOST_PAGES)
        _check_between("hosts", self.hosts, 1, MOST_HOSTS)
        _check_between("crawl-delay", self.crawl_delay_s, 0, MOST_CRAWL_DELAY_S)
        if self.pages > 1 and self.links > self.pages - 1:
            raise SiteError(
                f"site: links={self.links}: a page cannot link to more than the "
                f"{self.pages - 1} other pages; give fewer links or more pages"
            )
        least = 2 if self.pages > 2 else 1
        if self.pages > 1 and self.links < least:
            raise SiteError(f"site: links={self.links}: give at least {least}")
        self.delay_model()
        self._check_difficulties()
        self._check_size()

    def _check_difficulties(self) -> None:
        names = [name for name, _ in self.difficulties]
        for name, share in self.difficulties:
            if name not in DIFFICULTIES:
                raise SiteError(f"site {quoted(name)}: {_unknown(name, '=')}")
            _check_between(name, share, 0, 100)
        if len(set(names)) < len(names):
            raise SiteError(f"site: a difficulty is given twice in {', '.join(names)}")
        if self.share_percent("calendar") not in (0, 1):
            raise SiteError("site: calendar has no share: give calendar=1, or leave it out")
        on_pages = (*SPECIAL, *ORDINARY)
        total = sum(round(self.share_percent(name) * 1000) for name in on_pages) / 1000
        if total > MOST_SHARE_PERCENT:
            raise SiteError(
                f"site: the shares of the difficulties add up to {_decimal_text(total)} % of the "
                f"pages: give at most {_decimal_text(MOST_SHARE_PERCENT)} %"
            )
        special = sum(map(self.count, SPECIAL))
        plain = self.pages - special
        if special > self.pages - self.parents or sum(map(self.count, ORDINARY)) > plain:
            raise SiteError(
                f"site: pages={self.pages}: too few for one page of each difficulty; give more "
                "pages or fewer difficulties"
            )

    def _check_size(self) -> None:
        model, least = self.size_model(), self.least_size
        # Models without a largest value have no useful smallest one either: their small pages are
        # made as large as their links.
        smallest = model.quantile(0.0 if model.is_bounded else 0.5)
        if least > MAX_SIZE_BYTES:
            raise SiteError(
                f"site: links={self.links}: no page that the server sends holds as many; give fewer"
            )
        if smallest < least:
            links = f"{self.links} link{'s' if self.links != 1 else ''}"
            raise SiteError(
                f"site: size={self.size}: a page with {links} needs at least {least} bytes; give "
                f"size={least}, or fewer links"
            )


_KEYS = ("seed", "pages", "links", "size", "delay", "hosts", "crawl-delay", "with")


def _unknown(key: str, equals: str) -> str:
    names = (*_KEYS, *DIFFICULTIES)
    if not equals:
        return "give KEY=VALUE pairs, separated by ';', as in pages=1000;links=20"
    close = get_close_matches(key[:40], names, 1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return f"there is no such key{meant}; choose from {', '.join(names)}"


def _named_shares(names: str) -> dict[str, float]:
    """Return the shares of `with=all`, or of `with=loops,missing`."""
    chosen = tuple(DIFFICULTIES) if names == "all" else tuple(filter(None, names.split(",")))
    for name in chosen:
        if name not in DIFFICULTIES:
            close = get_close_matches(name[:40], DIFFICULTIES, 1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise SiteError(
                f"site {quoted(f'with={names}')}: there is no difficulty {quoted(name)}{meant}; "
                f"give all, or choose from {', '.join(DIFFICULTIES)}"
            )
    return {name: DIFFICULTIES[name].share_percent for name in chosen}


def _sizes(text: str) -> Model:
    try:
        return parse_sizes(text, _no_trace)
    except ModelError as error:
        raise SiteError(f"site: size={error}") from None


def _delays(text: str) -> Model:
    try:
        return parse_delays(text, _no_trace)
    except ModelError as error:
        raise SiteError(f"site: delay={error}") from None


def _no_trace(name: str) -> str:
    raise ValueError("a site follows from its spec alone, without files; give another model")


def _whole(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise SiteError(f"site {quoted(f'{key}={text}')}: give a whole number")
    return int(text)


def _decimal(key: str, text: str) -> float:
    if _DECIMAL.fullmatch(text) is None:
        unit = "seconds" if key == "crawl-delay" else "percent"
        raise SiteError(
            f"site {quoted(f'{key}={text}')}: give a number of {unit}, with up to three decimals"
        )
    return float(text)


def _decimal_text(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _check_between(key: str, value: float, least: float, most: float) -> None:
    # This comparison is also false for NaN.
    if not least <= value <= most:
        raise SiteError(
            f"site: {key}={_decimal_text(value)}: give {_decimal_text(least)} to "
            f"{_decimal_text(most)}"
        )
