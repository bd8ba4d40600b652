"""The contract of spiders: rules that a right spider keeps, and that wrong ones break."""

import pytest

from bench.contract.rules import MUST
from bench.contract.site_rules import check_spider
from bench.measure.spiders import spider_entrant
from crawlers.spiders.registry import SPIDERS

WRONG = {
    "drops_some": "every page is fetched",
    "keeps_fragments": "each page is fetched once, whatever its spelling",
    "ignores_robots": "what robots.txt disallows is not fetched",
    "falls_into_the_trap": "the limit of depth is kept",
    "records_nothing": "each fetch is recorded once, and nothing else",
}


def broken(spider: str) -> list[str]:
    return [one.rule for one in check_spider(spider_entrant(spider)) if one.is_broken]


def test_a_right_spider_breaks_no_rule() -> None:
    assert broken("tests.wrong_spiders:right") == []


def test_a_spider_that_does_nothing_is_told_so() -> None:
    first, *_ = check_spider(spider_entrant("tests.wrong_spiders:does_nothing"))
    assert first.is_broken
    assert first.evidence == "the crawler recorded nothing"


@pytest.mark.parametrize(
    "name",
    [
        name if name == "ignores_robots" else pytest.param(name, marks=pytest.mark.thorough)
        for name in WRONG
    ],
)
def test_a_wrong_spider_breaks_the_rule_that_it_ignores(name: str) -> None:
    assert WRONG[name] in broken(f"tests.wrong_spiders:{name}")


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", [one.name for one in SPIDERS if one.name not in ("scrapy", "crawlee")]
)
def test_the_spiders_of_this_project_keep_the_contract(name: str) -> None:
    findings = list(check_spider(spider_entrant(name)))
    assert [one for one in findings if one.is_broken] == []
    assert any(one.level is MUST and one.is_kept for one in findings)
