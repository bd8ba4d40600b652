"""advice.png and its page: the numbers of the advice, and nothing where there is none."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench.advice.analysis import AdviceAnalysis, CrawlerAdvice, analyse_advice
from bench.advice.points import Point
from bench.advice.scalability import ScalabilityLaw
from bench.advice.words import answer
from bench.analysis.inference import Interval
from bench.plan.advice import AdviceExperiment
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.results.store import FILE_NAME, Store
from plots.__main__ import draw_all
from plots.figures.advice import advice_figure, ideal_points
from server.service import Service
from tests.factories import experiment, result

ABOUT = {"crawlbench": "0", "commit": None, "cpu": "x", "cpus": 2, "system": "y", "pinning": "none"}
OVERHEADS_MS = {"asyncio": 5, "threads": 25}


def asked(objectives: tuple[str, ...] = ()) -> AdviceExperiment:
    plain = experiment(tuple(OVERHEADS_MS), concurrencies=(8,), waves=1, duration_s=1.0)
    known = {one.name: getattr(plain, one.name) for one in fields(plain) if one.name != "kind"}
    return AdviceExperiment(**known, objectives=objectives)


@pytest.fixture
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """At 1, 4 and 8 at a time, asyncio has n / 105 ms and threads n / 125 ms."""
    plan = asked(getattr(request, "param", ()))
    with Store.create(tmp_path / FILE_NAME, plan, 0, ABOUT, "2026-01-01T00:00:00") as made:
        for number, concurrency in enumerate((1, 1, 4, 4, 8, 8), 1):
            name = list(OVERHEADS_MS)[number % 2]
            trial = 1 + (concurrency == 8)  # the largest is also the fresh run
            run = plan.box(number, trial, Entrant(name, name), concurrency, 1.0)
            made.append(result(run, OVERHEADS_MS[name]))
        yield made


def lines(figure: Figure, panel: int = 0) -> dict[str, tuple[list[float], list[float]]]:
    return {
        str(line.get_gid()): (
            list(np.asarray(line.get_xdata())),
            list(np.asarray(line.get_ydata())),
        )
        for line in figure.axes[panel].lines
    }


def drawn(advice: AdviceAnalysis) -> Figure:
    figure = advice_figure(advice, "small print")
    assert figure is not None
    return figure


def test_points_intervals_ideal_and_recommendation_are_those_of_the_advice(store: Store) -> None:
    advice = analyse_advice(store)
    figure = drawn(advice)
    above, below = lines(figure), lines(figure, 1)
    for one in advice.crawlers:
        at = [1, 4, 8]
        assert above[f"{one.crawler} VALID"] == (at, [point.good_per_s for point in one.points])
        assert below[f"{one.crawler} VALID"] == (at, [100.0 + OVERHEADS_MS[one.crawler]] * 3)
        assert above[f"{one.crawler} recommended"] == ([8], [one.at(8).good_per_s])
    chosen = advice.chosen
    assert chosen is not None
    assert chosen.crawler == "asyncio"
    assert above["recommendation"][0] == below["recommendation"][0] == [8, 8]
    assert above["ideal"][1][-1] == pytest.approx(80)
    # A box has not enough requests for the upper end of a p99: an arrow at each point.
    assert sum(str(text.get_gid()).endswith("open") for text in figure.axes[1].texts) == 6
    assert "8 at a time" in [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("store", [("p99<=50", "rate>=1/s")], indirect=True)
def test_without_an_answer_nothing_is_recommended(store: Store) -> None:
    advice = analyse_advice(store)
    assert advice.chosen is None
    figure = drawn(advice)
    assert lines(figure, 1)["p99 <= 50 ms"][1] == [50, 50]
    assert lines(figure)["rate >= 1/s"][1] == [1, 1]
    found = {*lines(figure), *lines(figure, 1)}
    assert not {gid for gid in found if "recommend" in gid or gid == "enough"}


def changed(one: CrawlerAdvice, *points: Point) -> CrawlerAdvice:
    assert one.recommendation is not None
    law = ScalabilityLaw(0.1, 0.0, 0.0)
    found = replace(one.recommendation, low=4)
    return replace(one, points=points, recommendation=found, law=law)


def test_what_failed_what_is_as_good_and_the_law_are_drawn_of_a_server_of_others(
    store: Store,
) -> None:
    advice = analyse_advice(store)
    one, four, eight = advice.crawlers[0].points
    # The mean may be outside the interval of a centre that resists outliers.
    outside = replace(four, interval=Interval(one.good_per_s, four.good_per_s - 1, 0.95))
    none_good = replace(one, p99_ns=None, p99_interval=None)
    failing = replace(eight, refused_share=0.25)
    foreign = replace(advice.experiment, url="http://127.0.0.1:1/", delays=(Delay.fixed(0),))
    crawler = changed(advice.crawlers[0], none_good, outside, failing)
    figure = drawn(replace(advice, experiment=foreign, crawlers=(crawler,)))
    above, below = lines(figure), lines(figure, 1)
    assert "ideal" not in above
    assert above["failed"] == ([8], [eight.good_per_s])
    assert "25.0 %" in [text.get_text() for text in figure.axes[0].texts]
    assert above[f"{crawler.crawler} law"][1][-1] == pytest.approx(80)
    assert below[f"{crawler.crawler} VALID"][0] == [4, 8]
    (band,) = [patch for patch in figure.axes[0].patches if patch.get_gid() == "as good"]
    assert band.get_extents().width > 0


def test_nothing_measured_is_no_figure(store: Store) -> None:
    assert advice_figure(replace(analyse_advice(store), crawlers=()), "") is None


def test_the_page_begins_with_the_answer_and_has_every_point(store: Store) -> None:
    advice = analyse_advice(store)
    paths = list(draw_all(store.path.parent))
    assert [path.name for path in paths] == ["advice.png", "report.html"]
    page = paths[-1].read_text()
    assert page.index(answer(advice)) < page.index('<table id="answers"')
    assert "planned runs" not in page  # a search does not know how many there will be
    assert "What the columns mean" not in page  # none of them has an explanation
    for number, one in enumerate(advice.crawlers, 1):
        table = page.partition(f'<table id="points-{number}"')[2].partition("</table>")[0]
        assert all(f"<td>{point.good_per_s:,.1f}</td>" in table for point in one.points)


def test_a_service_that_changes_has_the_ideal_of_a_box(store: Store) -> None:
    """2 places for half a second and then 4, at 100 ms; the first fifth does not count."""
    service = Service.parse({"capacity": "2@0,4@0.5"})
    at, per_s = zip(*ideal_points(replace(asked(), service=service), 8), strict=True)
    assert (at[0], at[-1]) == (1, 8)
    assert (per_s[0], per_s[-1]) == pytest.approx((10, (0.3 * 20 + 0.5 * 40) / 0.8), rel=0.08)
