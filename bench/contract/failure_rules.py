"""Rules about many failures, and about servers that are gone or go."""

import socket
from collections.abc import Iterator
from threading import Thread
from time import monotonic, sleep

from bench.analysis.join import Join
from bench.contract.evidence import abbreviated, failure_counts, require
from bench.contract.fault_rules import require_declared_resends
from bench.contract.rules import MUST, SHOULD, Rule
from bench.contract.runs import ContractRunner, accounts_of
from server.control_client import ControlError, stats
from server.process import ServerProcess

_SERVER_GOES_S = 20.0


def refusal_rules(runner: ContractRunner) -> Iterator[Rule]:
    """Crawl a port on which nobody listens and yield the rules about it."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    fetches, _ = accounts_of(runner.run(3, 1, url=f"http://127.0.0.1:{port}/"))
    words = failure_counts(fetches)

    def recorded() -> str:
        require(sum(words.values()) == 3, f"3 requests, recorded as {words}")
        return f"{words}"

    def connect() -> str:
        require(words == {"connect": 3}, f"recorded as {words}")
        return "connect, each time"

    yield Rule(MUST, "a refused connection is a recorded failure", recorded)
    yield Rule(SHOULD, "a refused connection is called connect", connect)


def resend_rules(runner: ContractRunner) -> Iterator[Rule]:
    """Let many requests fail at once and yield the rule about resends."""
    slots = runner.slots(20)
    requests = 3 * slots
    # First on fresh connections, then, after a wave of good answers, on kept ones.
    waves = (range(slots), range(2 * slots, requests))
    faulty = {seq: ("close", "reset")[seq % 2] for wave in waves for seq in wave}
    join = Join.of(*accounts_of(runner.run(requests, slots, delay_ms=20, faults=faulty)))

    def as_declared() -> str:
        require_declared_resends(runner.info, requests, join)
        counts = f"{len(join.arrivals['seq'])} arrivals of {requests} requests"
        return f"{counts}, {len(faulty)} of which fail; resends: {runner.info.resends_in_words}"

    yield Rule(
        MUST,
        "many requests that fail at once are sent again no more often than declared",
        as_declared,
    )


def departure_rules(runner: ContractRunner) -> Iterator[Rule]:
    """Stop the server during a run and yield the rule about it."""
    slots = runner.slots(4)
    requests = 60
    with ServerProcess() as doomed:
        stopping = Thread(target=_stop_during_run, args=(doomed,))
        stopping.start()
        try:
            url = f"{doomed.addresses.data_url}/add?delay=50"
            result = runner.run(requests, slots, url=url)
        finally:
            stopping.join()
    fetches, _ = accounts_of(result)

    def all_recorded() -> str:
        recorded = sorted(fetches["seq"].tolist())
        require(recorded == list(range(requests)), f"recorded: {abbreviated(recorded)}")
        words = failure_counts(fetches)
        allowed = {"reset", "closed", "connect", "failed"}
        require(set(words) <= allowed and bool(words), f"recorded as {words}")
        return ", ".join(f"{word} {count}" for word, count in words.items())

    yield Rule(
        MUST, "a server that stops during a run causes failures and nothing else", all_recorded
    )


def _stop_during_run(server: ServerProcess) -> None:
    deadline = monotonic() + _SERVER_GOES_S
    while monotonic() < deadline:
        try:
            if stats(server.addresses.control_url)["in_flight"]:
                break
        except ControlError:
            break
        sleep(0.01)
    server.stop()
