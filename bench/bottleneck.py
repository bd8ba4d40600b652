"""What keeps a run from being faster, in a word and with its evidence. Pure."""

from dataclasses import dataclass

from bench.summary import RunSummary
from bench.validity import CLIENT_CPU_SHARE, Verdict

_NEARLY_ALL = 0.95


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """One word, and the numbers that say so."""

    word: str
    evidence: str


def bottleneck(summary: RunSummary, verdict: Verdict) -> Bottleneck:
    """Where the slots' time goes beside the delays decides, after what is a limit by itself."""
    cpu = f"the client's CPU is {summary.cpu_share:.0%} busy"
    if verdict.finds("capped"):
        return Bottleneck("cap", _text(verdict, "capped"))
    if verdict.finds("server-limited"):
        return Bottleneck("server", _text(verdict, "server-limited"))
    slot_time = summary.slot_time
    if slot_time is None:
        if summary.cpu_share > CLIENT_CPU_SHARE:
            return Bottleneck("client CPU", cpu)
        return Bottleneck("not known", f"the server is not ours; {cpu}")
    if slot_time.delay >= _NEARLY_ALL:
        return Bottleneck(
            "delay", f"{slot_time.delay:.0%} of the slots' time is the delay itself; {cpu}"
        )
    client = slot_time.under_way + slot_time.idle
    lost = {"connections": slot_time.opening, "server": slot_time.overshoot, "client CPU": client}
    word = max(lost, key=lambda name: lost[name])
    if summary.cpu_share > CLIENT_CPU_SHARE:
        return Bottleneck("client CPU", cpu)
    if word == "client CPU":
        return _of_the_client(summary, client)
    evidence = {
        "connections": f"{slot_time.opening:.0%} of the slots' time goes into opening connections",
        "server": f"{slot_time.overshoot:.0%} of the slots' time is the server's lateness",
    }[word]
    return Bottleneck(word, f"{evidence}; {cpu}")


def _of_the_client(summary: RunSummary, share: float) -> Bottleneck:
    """Its CPU may be the limit without being busy all the time.

    Answers come in waves; a slot then waits for the CPU as long as the answers before its own
    take, at the most the CPU time of a whole wave. What is lost beyond that is something else.
    """
    slots = summary.slots
    lost_us = share * slots * summary.makespan_ns / summary.requests / 1e3
    wave_us = slots * summary.cpu_us_per_request
    lost = f"{share:.0%} of the slots' time is lost at the client"
    if lost_us <= wave_us:
        return Bottleneck(
            "client CPU",
            f"{lost}: a wave of {slots} costs it {wave_us / 1e3:.0f} ms of CPU",
        )
    return Bottleneck(
        "client",
        f"{lost}, more than its CPU explains ({summary.cpu_share:.0%} busy): it waits in itself",
    )


def _text(verdict: Verdict, check: str) -> str:
    return next(reason.text for reason in verdict.reasons if reason.check == check)
