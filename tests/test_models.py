"""Models of delays and sizes: their grammar, and their values against numeric oracles."""

import math
import random
from array import array
from collections.abc import Callable
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.plan.delays import Delay
from bench.plan.ideal import simulate
from bench.plan.rates import FIXED, POISSON, Rate
from server.models import (
    Exponential,
    Lognormal,
    Model,
    ModelError,
    Trace,
    Uniform,
    Weighted,
    clipped,
    parse_model,
    split_models,
)
from server.request_plan import quoted
from tests.queueing import MODELS, QUANTILES, SERVICES, quantile_error

MOST = 60_000_000


def ms(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} is no number")
    return int(text) * 1000


def in_ms(value: float) -> str:
    return str(round(value / 1000))


def file_of(content: str | OSError | ValueError) -> Callable[[str], str]:
    def read(_: str) -> str:
        if isinstance(content, str):
            return content
        raise content

    return read


def parsed(text: str, content: str | OSError | ValueError = "5\n7\n") -> Model:
    return parse_model(text, ms, file_of(content), MOST, "60000 ms")


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("100", Uniform(100_000, 100_000)),
        ("0", Uniform(0, 0)),
        ("20-200", Uniform(20_000, 200_000)),
        ("5-5", Uniform(5_000, 5_000)),
        ("exponential:mean=100", Exponential(100_000)),
        ("lognormal:median=120,p99=900", Lognormal(120_000, 900_000)),
        ("lognormal:p99=900,median=120", Lognormal(120_000, 900_000)),
        ("weighted:50@90,500@9,2000@1", MODELS["weighted:50@90,500@9,2000@1"]),
        ("weighted:500@1,50@2,500@3", Weighted((50_000, 500_000), (2, 4))),
        ("trace:a,b.txt", Trace("a,b.txt", (5_000, 7_000))),
    ],
)
def test_a_text_is_a_model(text: str, model: Model) -> None:
    assert parsed(text) == model


values_ms = st.integers(0, 9_000)
texts = st.one_of(
    values_ms.map(str),
    st.tuples(values_ms, values_ms).map(lambda two: "-".join(map(str, sorted(two)))),
    st.integers(1, 8_000).map(lambda mean: f"exponential:mean={mean}"),
    st.tuples(st.integers(500, 900), st.integers(1, 9_000)).map(
        lambda two: f"lognormal:median={two[0]},p99={two[0] + two[1]}"
    ),
    st.lists(st.tuples(values_ms, st.integers(1, 199_999_999)), min_size=1, max_size=5).map(
        lambda pairs: "weighted:" + ",".join(f"{value}@{weight}" for value, weight in pairs)
    ),
    st.just("trace:FILE"),
)


@given(texts)
def test_the_canonical_text_of_a_model_is_the_same_model(text: str) -> None:
    model = parsed(text)
    canonical = model.format(in_ms)
    assert parsed(canonical) == model
    assert parsed(canonical).format(in_ms) == canonical


@given(st.lists(texts, min_size=1, max_size=5))
def test_a_list_of_models_is_split_where_they_end(several: list[str]) -> None:
    assert split_models(",".join(several)) == several


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is no number"),
        ("abc", "'abc' is no number"),
        ("nan", "'nan' is no number"),
        ("20-", r"give a value \(100\) or a range \(20-200\)"),
        ("-20", r"give a value \(100\) or a range \(20-200\)"),
        ("200-20", "give the smaller number first"),
        ("gamma:k=1", "there is no model 'gamma'"),
        ("exponential:", "give exponential:mean=..."),
        ("exponential:100", "give exponential:mean=..."),
        ("exponential:mean=0", "the mean must be above 0"),
        ("exponential:mean=nan", "'nan' is no number"),
        ("exponential:mean=60000", "36.79% of its values would exceed the most"),
        ("lognormal:median=120", "give lognormal:median=...,p99=..."),
        ("lognormal:median=120,median=130", "give lognormal:median=...,p99=..."),
        ("lognormal:median=120,p99=900,p50=1", "give lognormal:median=...,p99=..."),
        ("lognormal:median=900,p99=120", "p99 above the median"),
        ("lognormal:median=120,p99=120", "p99 above the median"),
        ("lognormal:median=0,p99=120", "the median must be above 0"),
        ("lognormal:median=10000,p99=60000", "1.00% of its values would exceed"),
        ("weighted:", "give each value its weight"),
        ("weighted:50", "'50' needs a whole weight from 1 to 999999999"),
        ("weighted:50@0", "'50@0' needs a whole weight"),
        ("weighted:50@1.5", "'50@1.5' needs a whole weight"),
        ("weighted:50@-1", "'50@-1' needs a whole weight"),
        ("weighted:50@\N{SUPERSCRIPT THREE}", "needs a whole weight"),
        ("weighted:50@1000000000", "needs a whole weight"),
        ("weighted:50@1,50@999999999", "'50@999999999' needs a whole weight"),
        ("weighted:50@999,61000@1", ""),
        ("weighted:50@998,61000@2", "0.20% of its values would exceed"),
        ("61000", "100.00% of its values would exceed"),
        ("59000-61000", "50.00% of its values would exceed"),
        ("trace:", "give the file of the trace, as in trace:FILE"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused(text: str, reason: str) -> None:
    if not reason:
        assert parsed(text).share_above(MOST) == 0.001
        return
    with pytest.raises(ModelError, match=reason) as caught:
        parsed(text)
    assert quoted(text) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "has 0 values; give 1 to 100,000, one per line"),
        ("\n \n", "has 0 values"),
        ("1\n" * 100_001, "has 100,001 values"),
        ("5\n\n\nx\n", "line 4': 'x' is no number"),
        ("5 6\n", "line 1': '5 6' is no number"),
        ("5\n-1\n", "line 2': '-1' is no number"),
        ("5\nnan\n", "line 2': 'nan' is no number"),
        ("5\n61000\n", "50.00% of its values would exceed"),
        (FileNotFoundError(2, "No such file or directory"), "FILE': No such file or directory"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), "FILE': it is not a text file"),
        (ValueError("the values are missing"), "FILE': the values are missing"),
    ],
)
def test_a_trace_that_cannot_be_replayed_is_refused(
    content: str | OSError | ValueError, reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        parsed("trace:FILE", content)


def test_a_trace_without_an_end_is_refused() -> None:
    with pytest.raises(ModelError, match="'/dev/zero': it has more than 10,000,000 characters"):
        Delay.parse("trace:/dev/zero")


def test_a_trace_is_replayed_in_order_and_again_from_the_start() -> None:
    trace = parsed("trace:FILE", "\ufeff9\r\n3\n\n 6 \n")
    assert list(trace.drawn(1, 7)) == [9_000, 3_000, 6_000, 9_000, 3_000, 6_000, 9_000]
    assert trace.drawn(2, 7) == trace.drawn(1, 7)
    assert [trace.quantile(q) for q in (0, 0.33, 0.34, 1)] == [3_000, 3_000, 6_000, 9_000]
    assert trace.mean == 6_000
    other = Trace("another name", (9_000, 3_000, 6_000))
    assert trace == other
    assert isinstance(trace, Trace)
    assert trace.digest == other.digest == sha256(b"9000\n3000\n6000").hexdigest()
    assert Trace("FILE", (9_000, 3_000)).digest != trace.digest


def oracle(model: Model) -> "stats.rv_frozen":
    """The distribution that a model rounds to whole numbers, by scipy."""
    if isinstance(model, Exponential):
        return stats.expon(scale=model.mean)
    assert isinstance(model, Lognormal)
    return stats.lognorm(s=model.sigma, scale=model.median)


@pytest.mark.parametrize(
    "model", [Exponential(100_000), Lognormal(120_000, 900_000), Lognormal(50, 51)], ids=str
)
def test_mean_and_quantiles_are_those_of_scipy(model: Model) -> None:
    known = oracle(model)
    assert model.mean == pytest.approx(known.mean())
    for q in (0.001, 0.1, 0.5, 0.9, 0.99, 0.999):
        assert model.quantile(q) == pytest.approx(known.ppf(q), abs=0.51)
    for most in (1_000, 100_000, 2_000_000):
        assert model.share_above(most) == pytest.approx(known.sf(most), abs=1e-12)
    assert not model.is_bounded


def test_a_lognormal_has_the_median_and_the_p99_that_were_asked_for() -> None:
    model = Lognormal(120_000, 900_000)
    assert (model.quantile(0.5), model.quantile(0.99)) == (120_000, 900_000)
    assert model.mean == pytest.approx(174_600, rel=1e-3)
    assert model.share_above(900_000) == pytest.approx(0.01)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), min_size=1, max_size=6))
def test_weights_are_those_of_a_list_that_repeats_each_value(pairs: list[tuple[int, int]]) -> None:
    every = sorted(value for value, weight in pairs for _ in range(weight))
    model = parsed("weighted:" + ",".join(f"{value}@{weight}" for value, weight in pairs))
    assert model.mean == pytest.approx(1000 * np.mean(every))
    for rank in range(1, len(every) + 1):
        assert model.quantile(rank / len(every)) == 1000 * every[rank - 1]
    assert model.quantile(0) == 1000 * every[0]
    above = sum(value > 25 for value in every)
    assert model.share_above(25_000) == pytest.approx(above / len(every))


@pytest.mark.parametrize("name", MODELS)
def test_drawn_values_have_the_quantiles_of_the_model(name: str) -> None:
    model = MODELS[name]
    assert max(quantile_error(model, q, 10_000, seed=1) for q in QUANTILES) < 4
    drawn = np.asarray(model.drawn(1, 10_000))
    error = float(drawn.std()) / 100
    assert abs(float(drawn.mean()) - model.mean) <= 4 * error


def test_a_wrong_model_has_other_quantiles() -> None:
    class Off(Lognormal):
        def quantile(self, q: float) -> int:
            return round(1.1 * super().quantile(q))

    assert quantile_error(Off(120_000, 900_000), 0.5, 10_000, seed=1) > 4


@pytest.mark.parametrize("name", MODELS)
def test_a_longer_run_begins_like_a_shorter_one(name: str) -> None:
    model = MODELS[name]
    assert model.drawn(7, 100) == model.drawn(7, 1_000)[:100]
    is_drawn = name not in ("100", "trace:FILE")
    assert (model.drawn(8, 100) != model.drawn(7, 100)) is is_drawn


def test_the_ends_of_the_generator_are_finite() -> None:
    for model in MODELS.values():
        assert 0 <= model.quantile(0) <= model.quantile(1) < 2**32
    assert MODELS["100"].is_bounded


def test_values_beyond_the_most_are_clipped() -> None:
    model = Exponential(100_000)
    drawn = model.drawn(1, 1_000)
    assert max(clipped(model, drawn, 200_000)) == 200_000
    fixed = Uniform(5, 5)
    assert clipped(fixed, fixed.drawn(1, 3), 5) == array("I", [5, 5, 5])


def test_exponential_values_by_a_second_computation() -> None:
    draw = random.Random(1).random
    wanted = [round(-100_000 * math.log(1 - draw())) for _ in range(10_000)]
    assert list(MODELS["exponential:mean=100"].drawn(1, 10_000)) == wanted


DIGESTS = {
    "100": "87947b582ed7a7a0",
    "20-200": "640e58156eaac548",
    "exponential:mean=100": "c1981e789a8390b7",
    "lognormal:median=120,p99=900": "e563a8734585a5ab",
    "weighted:50@90,500@9,2000@1": "4e9e4ba1363ef667",
    "trace:FILE": "4288143e275f0359",
    "sizes": "a111abb153f0eeae",
    "fixed arrivals": "01c6539742182449",
    "poisson arrivals": "e4d4e60b521a7a93",
    "ramp": "b1af9b06cb3e5b58",
    "plain": "fd3530441ed542c1",
    "capacity": "2e220f1d3ece5f47",
    "queue": "eb1e49894383bc6e",
    "rate limit": "cd101d353809ee18",
    "slowdown": "440afcd4b7f1ea06",
    "stall": "f920318dfb73b244",
    "fault share": "15f870e69cc3de56",
    "all": "5f95e15855d2b05f",
}
"""Of plans and their simulation, in little-endian numbers of 8 bytes."""


def planned(name: str) -> list["array[int]"]:
    if name in MODELS:
        return [MODELS[name].drawn(1, 10_000)]
    if name == "sizes":
        return [Lognormal(2_000, 90_000).drawn(1, 10_000)]
    if name == "fixed arrivals":
        return [Rate("200").due_after_ns(FIXED, 1, 10_000)]
    if name == "poisson arrivals":
        return [Rate("200").due_after_ns(POISSON, 1, 10_000)]
    if name == "ramp":
        return [Rate("50..500 over 20").due_after_ns(POISSON, 1, 10_000)]
    delays_us = MODELS["lognormal:median=120,p99=900"].drawn(1, 10_000)
    due_ns = Rate("300").due_after_ns(POISSON, 1, 10_000)
    closed = simulate(delays_us, SERVICES[name], slots=100)
    opened = simulate(delays_us, SERVICES[name], slots=100, due_after_ns=due_ns)
    return [
        column
        for found in (closed, opened)
        for column in (found.start_ns, found.begin_ns, found.end_ns, found.status)
    ]


@pytest.mark.parametrize("name", DIGESTS)
def test_the_same_seed_is_the_same_plan_on_every_python(name: str) -> None:
    digest = sha256()
    for column in planned(name):
        digest.update(np.asarray(column, dtype="<i8").tobytes())
    assert digest.hexdigest()[:16] == DIGESTS[name]
