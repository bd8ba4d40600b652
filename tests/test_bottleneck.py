"""What limits a run, in a word."""

from dataclasses import replace

import pytest

from bench.bottleneck import bottleneck
from bench.summary import RunSummary, SlotTime
from bench.validity import Level, Reason, Verdict
from tests.accounts import ARRIVED, GOOD, arrivals, fetches, summary_of

FINE = Verdict(())


def run(slot_time: SlotTime | None, **changes: object) -> RunSummary:
    summary = summary_of(fetches(*GOOD), arrivals(*ARRIVED), 4)
    return replace(summary, slot_time=slot_time, **changes)  # type: ignore[arg-type]


# Four requests on two slots in 220 ms: a tenth of the slots' time is 11 ms a request.
DELAY = SlotTime(delay=0.96, overshoot=0.01, opening=0.01, under_way=0.01, idle=0.01)
LATE = SlotTime(delay=0.7, overshoot=0.2, opening=0.05, under_way=0.03, idle=0.02)
OPENING = SlotTime(delay=0.7, overshoot=0.01, opening=0.2, under_way=0.05, idle=0.04)
CLIENT = SlotTime(delay=0.8, overshoot=0.02, opening=0.08, under_way=0.06, idle=0.04)


@pytest.mark.parametrize(
    ("summary", "word", "evidence"),
    [
        (run(DELAY, cpu_share=0.3), "delay", "96% of the slots' time is the delay itself"),
        (run(LATE, cpu_share=0.3), "server", "20% of the slots' time is the server's lateness"),
        (run(OPENING, cpu_share=0.3), "connections", "20% of the slots' time goes into opening"),
        (run(CLIENT, cpu_share=0.95), "client CPU", "the client's CPU is 95% busy"),
        # A wave of two answers costs 12 ms of CPU, and 11 ms a request are lost.
        (
            run(CLIENT, cpu_share=0.3, cpu_us_per_request=6000.0),
            "client CPU",
            "10% of the slots' time is lost at the client: a wave of 2 costs it 12 ms of CPU",
        ),
        (
            run(CLIENT, cpu_share=0.3, cpu_us_per_request=100.0),
            "client",
            "10% of the slots' time is lost at the client, more than its CPU explains (30% busy)",
        ),
        (run(None, cpu_share=0.95), "client CPU", "95% busy"),
        (run(None, cpu_share=0.3), "not known", "the server is not ours"),
    ],
)
def test_where_the_time_of_the_slots_goes_says_what_limits(
    summary: RunSummary, word: str, evidence: str
) -> None:
    found = bottleneck(summary, FINE)
    assert found.word == word
    assert evidence in found.evidence


@pytest.mark.parametrize(("check", "word"), [("capped", "cap"), ("server-limited", "server")])
def test_what_is_a_limit_by_itself_comes_first(check: str, word: str) -> None:
    verdict = Verdict((Reason(Level.SUSPECT, check, "the evidence"),))
    found = bottleneck(run(DELAY, cpu_share=0.99), verdict)
    assert (found.word, found.evidence) == (word, "the evidence")
