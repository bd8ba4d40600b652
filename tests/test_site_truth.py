"""What a site is, against a naive search over the links that it declares."""

from collections import deque

import numpy as np
import pytest

from bench.sites.truth import PLAIN, REACHABLE, LinkGraph, Truth, truth_of
from server.site.resources import NO_RESOURCE, Kind, index_of, kind_of, number_of
from server.site.site import Site
from server.site.spec import DIFFICULTIES, SiteSpec

EVERYTHING = SiteSpec.parse("seed=3;pages=1500;links=12;hosts=3;with=all;size=4000-9000").text
LONG = 40


def reached(site: Site, *, follows_all: bool) -> set[int]:
    """Return the resources that a naive search finds, with what no spider may follow or without."""
    ways = deque([0, *(number_of(Kind.ROBOTS, host) for host in range(site.spec.hosts))])
    seen = set(ways)
    while ways:
        here = ways.popleft()
        for link in site.links_of(here):
            is_bad = link.is_nofollow or site.difficulty_of(link.number) == "disallowed"
            is_bad |= kind_of(link.number) == Kind.OFF_SITE
            is_endless = kind_of(link.number) == Kind.CALENDAR and index_of(link.number) > LONG
            if link.number not in seen and not is_endless and (follows_all or not is_bad):
                seen.add(link.number)
                ways.append(link.number)
    return seen


@pytest.fixture(scope="module")
def truth() -> Truth:
    return truth_of(EVERYTHING)


def test_what_should_be_fetched_is_what_a_search_finds_that_follows_all_it_may(
    truth: Truth,
) -> None:
    site = truth.site
    found = reached(site, follows_all=False)
    pages = {one for one in found if one < site.spec.pages and site.status_of(one) == 200}
    assert set(np.flatnonzero(truth.should_be_fetched())) == pages
    forbidden = {one for one in reached(site, follows_all=True) - found if one < site.spec.pages}
    assert forbidden == {
        page
        for page in range(site.spec.pages)
        if site.difficulty_of(page) in ("disallowed", "nofollow")
    }


@pytest.mark.parametrize("omitted", ["sitemap", "redirects", "encodings"])
def test_what_a_spider_declares_to_omit_is_not_missed(truth: Truth, omitted: str) -> None:
    left_out = truth.should_be_fetched() & ~truth.should_be_fetched((omitted,))
    pages = [page for page in range(1500) if truth.site.difficulty_of(page) == omitted]
    assert np.flatnonzero(left_out).tolist() == pages != []


def test_every_difficulty_is_there_or_is_no_page(truth: Truth) -> None:
    names = {truth.site.difficulty_of(page) for page in range(1500)}
    assert {*REACHABLE} <= names | {"spellings", "loops", "calendar", "off_site"}
    assert names - {PLAIN} <= set(DIFFICULTIES)


def test_arrays_agree_with_the_answers_of_the_site(truth: Truth) -> None:
    site = truth.site
    numbers = [*range(1500), *reached(site, follows_all=True), NO_RESOURCE]
    numbers = [one for one in numbers if site.difficulty_of(one) != "binary" or one >= 1500]
    asked = np.array(numbers)
    columns = (truth.hosts_of(asked), truth.statuses_of(asked), truth.delays_us_of(asked))
    for number, host, status, delay_us in zip(numbers, *columns, strict=True):
        if number == NO_RESOURCE:
            assert (host, status, delay_us) == (-1, 404, 0)
            continue
        answer = site.answer(host, site.target_of(number))
        assert (answer.number, answer.status, answer.delay_us) == (number, status, delay_us)
        if number < 1500 and status == 200:
            assert len(answer.body) == truth.size_bytes[number]


def test_the_graph_has_the_links_that_may_be_followed(truth: Truth) -> None:
    graph, found, ways = LinkGraph(truth), {0}, deque([0])
    while ways:
        for link in graph.links_of(ways.popleft()):
            if link not in found and (kind_of(link) != Kind.CALENDAR or index_of(link) <= LONG):
                found.add(link)
                ways.append(link)
    site = truth.site
    assert found == {
        one
        for one in reached(site, follows_all=False)
        if kind_of(one) not in (Kind.ROBOTS, Kind.SITEMAP) and site.difficulty_of(one) != "sitemap"
    }
    assert set(graph.links_of(number_of(Kind.ROBOTS, 0))) == {number_of(Kind.SITEMAP, 0)}
