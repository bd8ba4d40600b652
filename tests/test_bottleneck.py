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
DELAY = SlotTime(0.9, late=0.01, opening=0.01, under_way=0.01, unavoidable=0.06, idle=0.01)
LATE = SlotTime(0.7, late=0.2, opening=0.05, under_way=0.03, unavoidable=0, idle=0.02)
OPENING = SlotTime(0.7, late=0.01, opening=0.2, under_way=0.05, unavoidable=0, idle=0.04)
CLIENT = SlotTime(0.8, late=0.02, opening=0.08, under_way=0.06, unavoidable=0, idle=0.04)


@pytest.mark.parametrize(
    ("summary", "word", "evidence"),
    [
        (run(DELAY, cpu_share=0.3), "delay", "90% of the slots' time is the delay itself"),
        (run(LATE, cpu_share=0.3), "server", "20% of the slots' time is the server's lateness"),
        (run(OPENING, cpu_share=0.3), "connections", "20% of the slots' time goes into opening"),
        (run(CLIENT, cpu_share=0.95), "client CPU", "the client's CPU is 95% busy"),
        # Two requests cost 12 ms of CPU, and 11 ms a request are lost.
        (
            run(CLIENT, cpu_share=0.3, cpu_us_per_request=6000.0),
            "client CPU",
            "spent between client and server: 2 requests at once cost the client 12.0 ms of CPU",
        ),
        (
            run(CLIENT, cpu_share=0.3, cpu_us_per_request=100.0),
            "round trip",
            "more than the client's CPU explains (30% busy)",
        ),
        (run(CLIENT, good=0), "failures", "not one request was good"),
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


@pytest.mark.parametrize(
    ("check", "word"),
    [("capped", "cap"), ("server-limited", "server"), ("busy machine", "machine")],
)
def test_what_is_a_limit_by_itself_comes_first(check: str, word: str) -> None:
    verdict = Verdict((Reason(Level.SUSPECT, check, "the evidence"),))
    found = bottleneck(run(DELAY, cpu_share=0.99), verdict)
    assert (found.word, found.evidence) == (word, "the evidence")
