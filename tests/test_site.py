"""The generated site: what it says of itself, against what a browser finds in its answers."""

import random
import re
from collections import Counter, deque
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.site.resources import NO_RESOURCE, Kind, index_of, kind_of, number_of
from server.site.site import Site
from server.site.spec import DIFFICULTIES, SiteError, SiteSpec
from tests import site_reading
from tests.site_reading import Found, found_in, url_of

PORT = 8080
EVERYTHING = SiteSpec.parse(
    "seed=7;pages=400;size=lognormal:median=3000,p99=9000;delay=exponential:mean=20;hosts=3;"
    "crawl-delay=0.5;with=all"
)
SITE = Site(EVERYTHING, PORT)
ROBOTS = [number_of(Kind.ROBOTS, host) for host in range(EVERYTHING.hosts)]


def reached(site: Site, *starts: int, allows: Callable[[Found], bool]) -> dict[int, int]:
    """The resources that a breadth-first search finds, down to the depth limit: their depths."""
    depths = dict.fromkeys(starts, 0)
    queue = deque(starts)
    while queue:
        number = queue.popleft()
        for link in site.links_of(number):
            is_new = link.number not in depths and depths[number] < site.depth_limit
            if is_new and allows(Found(*link)):
                depths[link.number] = depths[number] + 1
                queue.append(link.number)
    return depths


EVERY_DEPTH = reached(SITE, 0, *ROBOTS, allows=lambda link: True)


def digest(site: Site) -> str:
    hashed = sha256()
    starts = [number_of(Kind.ROBOTS, host) for host in range(site.spec.hosts)]
    for number in sorted(reached(site, 0, *starts, allows=lambda link: True)):
        answer = site.answer(site.host_of(number), site.target_of(number))
        hashed.update(f"{answer[:4]}{len(answer.body)}".encode() + answer.body)
    return hashed.hexdigest()


def test_the_site_of_a_spec_is_the_same_byte_for_byte() -> None:
    expected = "2c8341570adcf34201ec4e70aeb5aff97633f50a755988ce496a46c58b9d433f"
    assert digest(SITE) == digest(Site(EVERYTHING, PORT)) == expected
    other = SiteSpec.parse(EVERYTHING.text.replace("seed=7;", "seed=8;"))
    assert digest(Site(other, PORT)) != expected


def test_each_resource_answers_with_what_the_site_says_of_it() -> None:
    for number in EVERY_DEPTH:
        answer = SITE.answer(SITE.host_of(number), SITE.target_of(number))
        says = (number, SITE.status_of(number), SITE.delay_us_of(number))
        assert says == (answer.number, answer.status, answer.delay_us)


@pytest.mark.parametrize(
    "spec", [EVERYTHING, SiteSpec.parse("pages=150;with=all;links=7")], ids=("hosts", "host")
)
def test_a_browser_finds_the_links_that_the_site_says_it_has(spec: SiteSpec) -> None:
    site = Site(spec, PORT)
    found = reached(site, 0, *(number_of(Kind.ROBOTS, h) for h in range(spec.hosts)), allows=bool)
    for number in found:
        answer = site.answer(site.host_of(number), site.target_of(number))
        links = list(found_in(site, answer, url_of(site, PORT, number)))
        assert links == list(map(tuple, site.links_of(number)))
    assert Counter(map(kind_of, found)).keys() == set(Kind)


def test_who_takes_the_bytes_of_a_url_for_utf_8_misses_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The check above can fail: a spider that ignores encodings is found out."""
    as_latin_1 = lambda answer: answer.body.decode("latin-1")  # noqa: E731
    monkeypatch.setattr(site_reading, "text_of", as_latin_1)
    missed = 0
    for number in EVERY_DEPTH:
        answer = SITE.answer(SITE.host_of(number), SITE.target_of(number))
        if "utf-8" in answer.extra:
            continue
        found = {link.number for link in found_in(SITE, answer, url_of(SITE, PORT, number))}
        missed += len({link.number for link in SITE.links_of(number)} - found)
    assert missed


def test_each_difficulty_has_its_share_of_pages_and_only_its_own_way_leads_there() -> None:
    kinds = Counter(map(SITE.difficulty_of, range(EVERYTHING.pages)))
    for name in ("redirects", "missing", "errors", "disallowed", "nofollow", "sitemap", "binary"):
        assert kinds[name] == round(EVERYTHING.pages * DIFFICULTIES[name].share_percent / 100)
    pages = {number for number in EVERY_DEPTH if kind_of(number) == Kind.PAGE}
    files = {index_of(number) for number in EVERY_DEPTH if kind_of(number) == Kind.BINARY}
    assert pages | files == set(range(EVERYTHING.pages))
    assert not pages & files

    def missed(*starts: int, allows: Callable[[Found], bool]) -> set[str]:
        left = pages - reached(SITE, *starts, allows=allows).keys()
        names = {SITE.difficulty_of(number) for number in left}
        assert sum(kinds[name] for name in names) == len(left), "only some of a difficulty"
        return names

    assert missed(0, allows=lambda link: True) == {"sitemap"}
    assert missed(0, *ROBOTS, allows=lambda link: not link.is_nofollow) == {"nofollow"}
    assert missed(0, *ROBOTS, allows=lambda link: kind_of(link.number) != Kind.REDIRECT) == {
        "redirects"
    }
    for number in EVERY_DEPTH:
        is_private = "/private/" in SITE.target_of(number)
        assert is_private == (SITE.difficulty_of(number) == "disallowed")


def test_no_page_is_deeper_than_is_said_and_the_depth_limit_ends_the_calendar() -> None:
    for text in ("pages=400;with=all", "pages=3;links=2;calendar=1", "pages=1", "pages=5000"):
        site = Site(SiteSpec.parse(text))
        depths = reached(site, 0, ROBOTS[0], allows=lambda link: True)
        page_depths = [depths[number] for number in depths if kind_of(number) == Kind.PAGE]
        assert len(page_depths) >= 0.98 * site.spec.pages
        assert site.max_depth / 2 <= max(page_depths) <= site.max_depth
        months = sum(kind_of(number) == Kind.CALENDAR for number in depths)
        assert months == (site.depth_limit if site.spec.share_percent("calendar") else 0)


def test_pages_have_the_sizes_and_delays_of_their_models() -> None:
    spec = SiteSpec.parse("pages=300;hosts=3;with=all;size=2900-9000;delay=5-10")
    assert spec.least_size < 2900
    site, sizes = Site(spec, 65535), []
    for number in range(spec.pages):
        answer = site.answer(site.host_of(number), site.target_of(number))
        difficulty = site.difficulty_of(number)
        if answer.status == 200:
            is_utf_16 = answer.body.startswith(b"\xff\xfe")
            size = len(answer.body) // (2 if is_utf_16 else 1)
            sizes.append(size // 100 if difficulty == "large" else size)
        if difficulty != "binary":  # a file is there instead of the page
            assert 5000 <= answer.delay_us // (10 if difficulty == "slow" else 1) <= 10_000
    assert 2900 <= min(sizes) < 3000
    assert 8900 < max(sizes) <= 9000


@pytest.mark.parametrize("links", [2, 3, 20, 60])
def test_the_least_size_holds_the_links_of_every_page(links: int) -> None:
    text = f"pages=2000;links={links};hosts=200;spellings=100;loops=5;off_site=5;calendar=1"
    least = SiteSpec.parse(f"{text};size=20000").least_size
    site = Site(SiteSpec.parse(f"{text};size={least}"), 65535)
    for number in range(site.spec.pages):
        answer = site.answer(site.host_of(number), site.target_of(number))
        assert len(answer.body) == least


@st.composite
def spelled(draw: st.DrawFn) -> tuple[int, str]:
    """A resource, and a target that names it by RFC 3986, or by another order of the query."""
    number = draw(st.sampled_from(sorted(EVERY_DEPTH)))
    rng = draw(st.randoms(use_true_random=False))
    path, _, query = SITE.target_of(number).partition("?")
    pairs = query.split("&") if query else []
    rng.shuffle(pairs)
    segments: list[str] = []
    for segment in path.split("/")[1:]:
        if segments:
            segments += rng.choice([[], [], ["."], ["x", ".."], ["%2E"], ["x%20y", "%2e."]])
        segments.append(respelled(segment, rng))
    again = "&".join("=".join(respelled(part, rng) for part in pair.split("=")) for pair in pairs)
    return number, f"/{'/'.join(segments)}" + (f"?{again}" if again else "")


def respelled(text: str, rng: random.Random) -> str:
    """Percent-encode some characters that need not be, and write some escapes in lower case."""
    pieces: list[str] = re.findall("%..|.", text)
    return "".join(
        piece
        if rng.random() < 0.7
        else piece.lower()
        if len(piece) > 1
        else f"%{ord(piece):02{rng.choice('xX')}}"
        for piece in pieces
    )


@given(spelled())
def test_every_spelling_of_a_target_names_the_same_resource(case: tuple[int, str]) -> None:
    number, target = case
    assert SITE.number_of(SITE.host_of(number), target) == number


TARGETS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(sorted(EVERY_DEPTH))
    .map(SITE.target_of)
    .flatmap(
        lambda target: st.tuples(
            st.integers(0, len(target)), st.sampled_from("0123456789/.%-x?&=é²١\0 ")
        ).map(lambda change: target[: change[0]] + change[1] + target[change[0] :])
    ),
)


@given(TARGETS, st.integers(0, EVERYTHING.hosts + 1))
def test_any_other_target_is_nothing_or_a_resource_of_that_host(target: str, host: int) -> None:
    number = SITE.number_of(host, target)
    if number != NO_RESOURCE:
        assert SITE.host_of(number) == host
        assert SITE.number_of(host, SITE.target_of(number)) == number
    assert SITE.answer(host, target).number == number


@pytest.mark.parametrize(
    "rest",
    [
        "p/400.html",
        "p/07.html",
        "p/7.html",  # the query names it
        "p/item?id=7",
        "p/item?id=7&view=all&x=1",
        "p/item?id=8&view=all",
        "p%2F8.html",
        "p//8.html",
        "r/0-0",
        "loop/0-3",
        "loop/1-0",
        "sitemap-1.xml",
        f"calendar/{2**40}.html",
        f"calendar/{'9' * 5000}.html",
        "files/8.bin",
        "away/9.html",
        "x",
    ],
)
def test_what_the_site_does_not_have_is_no_resource(rest: str) -> None:
    for host in range(EVERYTHING.hosts + 1):
        answer = SITE.answer(host, SITE.prefix + rest)
        assert (answer.number, answer.status) == (NO_RESOURCE, 404)


def test_a_page_is_on_its_own_host_only() -> None:
    assert SITE.number_of(SITE.host_of(8), SITE.target_of(8)) == 8
    others = {0, 1, 2, 3} - {SITE.host_of(8)}
    assert all(SITE.number_of(host, SITE.target_of(8)) == NO_RESOURCE for host in others)
    assert {SITE.host_of(page) for page in range(400)} == {0, 1, 2}


SHARES = {name: st.sampled_from(["0", "0.125", "3.0"]) for name in DIFFICULTIES}
SPECS = st.fixed_dictionaries(
    {"pages": st.integers(1000, 10**7).map(str)},
    optional={
        "seed": st.integers(0, 10**15).map(str),
        "links": st.integers(2, 30).map(str),
        "size": st.sampled_from(["8k", "1M", "7000-9000", "lognormal:median=9000,p99=20000"]),
        "delay": st.sampled_from(["0", "20.5", "exponential:mean=20", "weighted:1@9,50@1"]),
        "hosts": st.integers(1, 200).map(str),
        "crawl-delay": st.sampled_from(["0", "0.25", "10"]),
        "with": st.sampled_from(["all", "loops,missing"]),
        **SHARES,
        "calendar": st.sampled_from(["0", "1"]),
    },
).map(lambda values: [f"{key}={value}" for key, value in values.items()])


@given(SPECS)
def test_the_text_of_a_spec_says_all_of_it(pieces: list[str]) -> None:
    spec = SiteSpec.parse(";".join(pieces))
    assert SiteSpec.parse(spec.text) == spec
    assert SiteSpec.parse(";".join(reversed(pieces))) == spec
    assert spec.key == f"{spec.seed}-{sha256(spec.text.encode()).hexdigest()[:8]}"


@given(st.text(alphabet="spagelinkwthd=;,.:0123456789-@ é", max_size=40))
def test_any_other_text_is_refused_in_one_line(text: str) -> None:
    try:
        SiteSpec.parse(text)
    except SiteError as error:
        reason = str(error)
    else:
        return
    assert reason.startswith("site")
    assert reason.isascii()
    assert reason.isprintable()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pages=0", "pages=0: give 1 to 10000000"),
        ("pages=10000001", "give 1 to 10000000"),
        ("pages=x", "give a whole number"),
        ("hosts=0", "hosts=0: give 1 to 200"),
        ("hosts=201", "give 1 to 200"),
        ("pages=10;links=10", "cannot link to more than the 9 other pages"),
        ("pages=10;links=1", "give at least 2"),
        ("pages=2;links=0", "give at least 1"),
        ("size=100", "a page with 20 links needs at least 2"),
        ("size=exponential:mean=1000", "needs at least"),
        ("size=trace:x", "without files"),
        ("links=999;size=1M;pages=1000;seed=1000000000000001", "seed="),
        ("pages=1000000;links=500000;size=16M", "no page that the server sends holds as many"),
        ("delay=soon", "is not a delay"),
        ("slows=3", "did you mean slow?"),
        ("with=al", "there is no difficulty 'al'; give all"),
        ("with=loop", "did you mean loops?"),
        ("10", "give KEY=VALUE pairs"),
        ("pages=", "a value is missing"),
        ("pages=10;pages=20", "pages is given twice"),
        ("missing=30;errors=20.5", "add up to 50.5 %"),
        ("spellings=101", "give 0 to 100"),
        ("missing=-1", "give a number of percent"),
        ("calendar=2", "calendar=1, or leave it out"),
        ("crawl-delay=61", "give 0 to 60"),
        ("pages=10;links=5;with=all", "too few for one page of each difficulty"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(text: str, reason: str) -> None:
    with pytest.raises(SiteError, match=re.escape(reason)):
        SiteSpec.parse(text)


def test_with_all_means_all_difficulties_at_their_shares() -> None:
    spec = SiteSpec.parse("with=all;missing=2;loops=0")
    shares = {name: one.share_percent for name, one in DIFFICULTIES.items() if name != "loops"}
    assert dict(spec.difficulties) == {**shares, "missing": 2}
    assert SiteSpec.parse("with=loops,slow").difficulties == (("loops", 0.2), ("slow", 1))


def test_the_document_has_every_difficulty_with_its_share() -> None:
    text = (Path(__file__).parents[1] / "docs" / "server.md").read_text()
    rows = re.findall(r"^\| `([a-z_]+)` \| ([0-9.]+) (?:%|\(on\))", text, re.MULTILINE)
    assert [(name, float(share)) for name, share in rows] == [
        (name, one.share_percent) for name, one in DIFFICULTIES.items()
    ]
