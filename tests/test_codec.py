"""JSON in and out of frozen classes: what is written is read, and nothing else is."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Experiment
from bench.primes.experiment import PrimesCell, PrimesExperiment, work_of
from bench.results.codec import decode_object, encode, to_class
from bench.results.conditions import Conditions
from crawlers.spec import Usage
from tests.factories import conditions, experiment, usage

ASKED = experiment(
    ("asyncio", "serial"), delays=(Delay.between(0, 5), Delay.fixed(1000)), floor="protocol"
)
PRIMES = PrimesExperiment(
    cells=(PrimesCell("serial", work_of("hashes", 4, 10)),),
    concurrency=3,
    delay=Delay.fixed(5000),
    trials=2,
    seed=1,
    timeout_s=10.0,
    failing=(2,),
)


@pytest.mark.parametrize("value", [ASKED, PRIMES, usage(), conditions(), conditions(beside=None)])
def test_what_is_written_is_read_as_it_was(value: object) -> None:
    assert to_class(decode_object(encode(value), "it"), type(value), "it") == value


@given(st.text(), st.text(), st.integers(-(2**63), 2**63 - 1), st.floats(0, 1e9))
def test_any_experiment_survives_json_in_printable_words(
    label: str, python: str, seed: int, timeout_s: float
) -> None:
    """The path of an interpreter may hold bytes that are not UTF-8; they are shown, never lost."""
    asked = replace(ASKED, seed=seed, timeout_s=timeout_s)
    named = replace(asked, entrants=(Entrant(label, "asyncio", python + "\udcff"),))
    read = to_class(decode_object(encode(named), "it"), Experiment, "it")
    assert replace(read, entrants=ASKED.entrants) == asked
    assert (read.entrants[0].label == label) == label.isprintable()
    assert read.entrants[0].python.endswith("\\udcff")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("trials",), "x", "asked.trials: Expected `int`, got `str`"),
        (("trials",), 1.0, "asked.trials: Expected `int`, got `float`"),
        (("trials",), True, "asked.trials: Expected `int`, got `bool`"),
        (("trials",), 2**63, "asked.trials is 9223372036854775808: not a number of 64 bits"),
        (("timeout_s",), float("nan"), "asked.timeout_s is nan: not a number of 64 bits"),
        (("timeout_s",), 1e300, "asked.timeout_s is 1e+300: not a number of 64 bits"),
        (("floor",), None, "asked.floor: Expected `str`, got `null`"),
        (("delays", 1, "text"), 5, "asked.delays[1].text: Expected `str`, got `int`"),
        (("entrants", 0), [], "asked.entrants[0]: Expected `object`, got `array`"),
        (("entrants", 0, "sudo"), 1, "asked.entrants[0]: unknown field 'sudo'"),
        (("sudo",), 1, "asked: unknown field 'sudo'"),
        (("sud\x1b",), 1, "asked: unknown field 'sud\\\\x1b'"),
        (("concurrencies",), {}, "asked.concurrencies: Expected `array`, got `object`"),
    ],
)
def test_what_is_wrong_is_refused_with_its_field_and_its_cause(
    path: tuple[str | int, ...], value: object, said: str
) -> None:
    values = json.loads(encode(ASKED))
    inner = values
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(ValueError, match=r"^asked") as caught:
        to_class(decode_object(json.dumps(values), "asked"), Experiment, "asked")
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"entrants": ()}, "it asks for no entrants"),
        ({"concurrencies": ()}, "it asks for no concurrencies"),
        ({"delays": ()}, "it asks for no delays"),
        ({"delays": (Delay("9-1"),)}, "give the smaller number first"),
        ({"trials": 0}, "it asks for trials 0"),
        ({"trials": 10**9}, "it asks for 4,000,000,000 runs"),
    ],
)
def test_what_has_the_right_types_and_cannot_have_been_asked_is_refused(
    changes: dict[str, object], said: str
) -> None:
    asked = replace(ASKED, **{"delays": (Delay.fixed(0),), **changes})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=said):
        asked.check()
    with pytest.raises(ValueError, match="it asks for no cells"):
        replace(PRIMES, cells=()).check()


@pytest.mark.parametrize(
    ("kind", "value"), [(Usage, usage()), (Conditions, conditions())], ids=["usage", "conditions"]
)
def test_a_field_that_is_lacking_is_named(kind: type, value: object) -> None:
    values = json.loads(encode(value))
    name = next(iter(values))
    del values[name]
    with pytest.raises(ValueError, match=f"it: Object missing required field `{name}`"):
        to_class(values, kind, "it")


def test_numbers_that_json_does_not_have_are_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(replace(ASKED, timeout_s=float("nan")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "it is not a JSON object, but of type list"),
        ("{", "it is not JSON: Expecting property name"),
        (5, "it is not JSON, but of type int"),
    ],
)
def test_what_is_not_a_json_object_is_refused(text: object, said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        decode_object(text, "it")
