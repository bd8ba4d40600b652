"""What limits a run, in a word."""

from dataclasses import replace

import pytest

from bench.analysis.bottleneck import bottleneck
from bench.analysis.slot_time import SlotTime
from bench.analysis.stalls import IdleSlots
from bench.analysis.summary import RunSummary
from bench.analysis.validity import Level, Reason, Verdict
from tests.accounts import ARRIVED, GOOD, arrivals, fetches, summary_of
from tests.controls.__main__ import CONTROLS, HONEST, trial_of

FINE = Verdict(())


def run(slot_time: SlotTime | None, **changes: object) -> RunSummary:
    summary = summary_of(fetches(*GOOD), arrivals(*ARRIVED), 4)
    return replace(summary, slot_time=slot_time, **changes)  # type: ignore[arg-type]


# Four requests on two slots in 220 ms: a tenth of the slots' time is 11 ms a request.
DELAY = SlotTime(0.9, 0, 0, late=0.01, opening=0.01, under_way=0.01, unavoidable=0.06, idle=0.01)
LATE = SlotTime(0.7, 0, 0, late=0.2, opening=0.05, under_way=0.03, unavoidable=0, idle=0.02)
OPENING = SlotTime(0.7, 0, 0, late=0.01, opening=0.2, under_way=0.05, unavoidable=0, idle=0.04)
CLIENT = SlotTime(0.8, 0, 0, late=0.02, opening=0.08, under_way=0.06, unavoidable=0, idle=0.04)

WAITING = replace(DELAY, delay=0.6, service_wait=0.3)
LATE_AND_WAITING = replace(LATE, delay=0.61, service_wait=0.09)

PAUSES = SlotTime(0.6, 0, 0, late=0.02, opening=0.01, under_way=0.06, unavoidable=0, idle=0.31)


@pytest.mark.parametrize(
    ("summary", "word", "evidence"),
    [
        (run(DELAY, cpu_share=0.3), "delay", "90 % of the slots' time is the delay itself"),
        (run(WAITING, cpu_share=0.3), "capacity", "for 30 % of the slots' time requests wait in"),
        (run(LATE_AND_WAITING, cpu_share=0.3), "server", "20 % of the slots' time is the server's"),
        (run(LATE, cpu_share=0.3), "server", "20 % of the slots' time is the server's lateness"),
        (run(OPENING, cpu_share=0.3), "connections", "20 % of the slots' time goes into opening"),
        (run(CLIENT, cpu_share=0.95), "client CPU", "the client's CPU is 95 % busy"),
        # Two requests cost 12 ms of CPU, and 11 ms a request are lost.
        (
            run(CLIENT, cpu_share=0.3, cpu_us_per_request=6000.0),
            "bursts",
            "queue for the client's CPU (12.0 ms for all of them), which is idle in between (30",
        ),
        (
            run(CLIENT, cpu_share=0.6, cpu_us_per_request=6000.0),
            "client CPU",
            "queue for the client's CPU (12.0 ms for all of them), which is 60 % busy",
        ),
        (
            run(CLIENT, cpu_share=0.3, cpu_us_per_request=100.0),
            "round trip",
            "more than the client's CPU explains (30 % busy)",
        ),
        # The client pauses: with a slot free its CPU is idle for half of the time.
        (
            run(PAUSES, cpu_share=0.3, waited_share=0.1, idle_slots=IdleSlots(0.3, 0.9)),
            "idle slots",
            "for 30 % of their time slots have no request although jobs are left",
        ),
        (run(None, cpu_share=0.3, idle_slots=IdleSlots(0.3, 0.9)), "idle slots", "30 % busy"),
        # A slot is idle while the client's CPU is busy with others, or another process has it.
        (
            run(PAUSES, cpu_us_per_request=1.0, cpu_share=0.7, idle_slots=IdleSlots(0.3, 0.9)),
            "round trip",
            "more than the client's CPU explains",
        ),
        (
            run(
                PAUSES,
                cpu_us_per_request=1.0,
                cpu_share=0.3,
                waited_share=0.4,
                idle_slots=IdleSlots(0.3, 0.9),
            ),
            "round trip",
            "more than the client's CPU explains",
        ),
        (run(LATE, cpu_share=0.1, idle_slots=IdleSlots(0.1, 0.9)), "server", "lateness"),
        (run(CLIENT, good=0), "failures", "not one request was good"),
        (run(None, cpu_share=0.95), "client CPU", "95 % busy"),
        (run(None, cpu_share=0.3), "not known", "there is no ledger"),
    ],
)
def test_where_the_time_of_the_slots_goes_says_what_limits(
    summary: RunSummary, word: str, evidence: str
) -> None:
    found = bottleneck(summary, FINE)
    assert found.word == word
    assert evidence in found.evidence


@pytest.mark.parametrize(
    ("check", "word"),
    [("capped", "cap"), ("server-limited", "server"), ("busy machine", "machine")],
)
def test_what_is_a_limit_by_itself_comes_first(check: str, word: str) -> None:
    verdict = Verdict((Reason(Level.SUSPECT, check, "the evidence"),))
    found = bottleneck(run(DELAY, cpu_share=0.99), verdict)
    assert (found.word, found.evidence) == (word, "the evidence")


def test_a_crawler_that_paces_itself_has_idle_slots() -> None:
    (control,) = (one for one in CONTROLS if one.limit == "idle slots")
    trial = trial_of(control)
    assert trial.summary is not None
    # Whatever else the machine does meanwhile.
    calm = replace(trial.summary, waited_share=None)
    assert bottleneck(calm, FINE).word == "idle slots"


@pytest.mark.thorough
def test_an_honest_crawler_has_no_idle_slots() -> None:
    honest = trial_of(HONEST).summary
    assert honest is not None
    assert bottleneck(honest, FINE).word != "idle slots"
