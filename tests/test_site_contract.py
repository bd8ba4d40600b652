"""The contract of spiders: rules that a right spider keeps, and that wrong ones break."""

import re
from pathlib import Path

import pytest

from bench.contract.rules import MUST
from bench.contract.site_rules import DIFFICULT, SiteRules, check_spider
from bench.measure.spiders import spider_entrant
from crawlers.spiders.registry import SPIDERS

WRONG = {
    "drops_some": "every page is fetched",
    "keeps_fragments": "each page is fetched once, whatever leads to it",
    "ignores_robots": "what robots.txt disallows is not fetched",
    "falls_into_the_trap": "the limit of depth is kept",
    "forgets_some": "each fetch is recorded once, and nothing else",
}


def broken(spider: str, groups: tuple[SiteRules, ...] = ()) -> list[str]:
    entrant = spider_entrant(f"tests.wrong_spiders:{spider}")
    return [one.rule for one in check_spider(entrant, groups) if one.is_broken]


def test_a_spider_that_ignores_robots_txt_breaks_that_rule_and_no_other() -> None:
    assert broken("ignores_robots", (DIFFICULT,)) == [WRONG["ignores_robots"]]


@pytest.mark.thorough
def test_a_right_spider_breaks_no_rule() -> None:
    assert broken("right") == []


def test_a_spider_that_does_nothing_is_told_so() -> None:
    first, *_ = check_spider(spider_entrant("tests.wrong_spiders:does_nothing"))
    assert first.is_broken
    assert first.evidence == "the crawler recorded nothing"


@pytest.mark.thorough
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_spider_breaks_the_rule_that_it_ignores(name: str) -> None:
    assert WRONG[name] in broken(name)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", [one.name for one in SPIDERS if one.name not in ("scrapy", "crawlee")]
)
def test_the_spiders_of_this_project_keep_the_contract(name: str) -> None:
    findings = list(check_spider(spider_entrant(name)))
    assert [one for one in findings if one.is_broken] == []
    assert any(one.level is MUST and one.is_kept for one in findings)


@pytest.mark.thorough
def test_the_spiders_in_the_documents_keep_every_must_rule(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / "site.md").read_text()
    programs = [
        "\n".join(line[4:] for line in block.splitlines())
        for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, flags=re.MULTILINE)
        if "def spider(" in block and "import" in block
    ]
    assert len(programs) == 2
    for number, program in enumerate(programs):
        path = tmp_path / f"mine{number}.py"
        path.write_text(program)
        entrant = spider_entrant(f"{path}:spider")
        assert [one for one in check_spider(entrant) if one.is_broken] == []
