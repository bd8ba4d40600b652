"""The server's services, compared with the computation in server/service.py.

The floor crawler sends requests to a server with a service. The arrivals that the ledger recorded
are then handed to server/service.py, and its begin and due instants are compared with the ledger's
begin and with the instant of the reply. A wait is from the arrival to either. It exits with 1 if a
begin differs by more than 1 ms, if more than 1 % of the replies do, or if the mean time from
arrival to reply differs by more than 1 %.
"""

import argparse
import random
import subprocess
import sys
from array import array
from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np

from bench.measure.interpreters import crawler_command
from bench.plan.entrants import Entrant
from bench.plan.floor import FLOORS
from crawlers.spec import Outcome, Spec
from server.control_client import announce_run, delete_run, fetch_run
from server.ledger import RunRecord
from server.process import ServerProcess
from server.service import SERVED, CapacityStep, Service, ServiceState

_SEED = 16
_MOST_NS = 1_000_000
_MOST_SHARE = 0.01
_MOST_OF_MEAN = 0.01


class Case(NamedTuple):
    """A service, and the load that it gets."""

    flags: dict[str, str]
    concurrency: int
    mean_delay_ms: float
    """Delays are drawn from an exponential distribution."""


CASES = (
    Case({}, 50, 40.0),
    Case({"capacity": "20"}, 50, 40.0),
    Case({"capacity": "50@0,20@1"}, 60, 40.0),
    Case({"capacity": "20", "queue": "10"}, 40, 40.0),
    Case({"capacity": "20", "stall": "1:0.14"}, 50, 40.0),
    Case({"capacity": "20", "slowdown": "0.02,0.0005"}, 50, 40.0),
    Case({"rate-limit": "500:50"}, 20, 40.0),
)


class Difference(NamedTuple):
    """How far a run of the server is from the computation."""

    refused: int
    other_statuses: int
    """How many requests were refused by one and served by the other."""
    mean_wait_ns: float
    """Mean of the computed waits from arrival to begin."""
    most_begin_ns: int
    mean_time_ns: float
    """Mean of the computed times from arrival to reply."""
    mean_reply_ns: float
    most_reply_ns: int
    share_late: float
    """Share of the replies that differ by more than 1 ms."""

    @classmethod
    def of(cls, record: RunRecord, service: Service) -> Self:
        """Compare the ledger of a run with a service."""
        columns = {name: np.array(values) for name, values in record.columns.items()}
        arrived = columns["arrived_ns"]
        state = ServiceState(service)
        admissions = [
            state.admit(*request)
            for request in zip(arrived.tolist(), columns["delay_us"].tolist(), strict=True)
        ]
        begin = np.array([one.begin_ns for one in admissions])
        due = np.array([one.due_ns for one in admissions])
        is_served = np.array([one.status == SERVED for one in admissions])
        replies = columns["replied_ns"] - due
        is_late = np.abs(replies) > _MOST_NS
        return cls(
            refused=int((columns["status"] != 200).sum()),
            other_statuses=int((is_served != (columns["status"] == 200)).sum()),
            mean_wait_ns=float((begin - arrived).mean()),
            most_begin_ns=int(np.abs(columns["begin_ns"] - begin).max()),
            mean_time_ns=float((due - arrived)[is_served].mean()),
            mean_reply_ns=float(replies[is_served].mean()),
            most_reply_ns=int(np.abs(replies).max()),
            share_late=float(is_late.mean()),
        )

    @property
    def is_small(self) -> bool:
        """Whether the server does what the computation says."""
        return (
            not self.other_statuses
            and self.most_begin_ns <= _MOST_NS
            and self.share_late <= _MOST_SHARE
            and abs(self.mean_reply_ns) <= _MOST_OF_MEAN * self.mean_time_ns
        )


def main() -> int:
    """Run all cases and print a line for each; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/service", description=__doc__)
    parser.add_argument(
        "--requests", type=int, default=2000, help="requests of each case (default: %(default)s)"
    )
    parser.add_argument(
        "--wrong-capacity",
        action="store_true",
        help="compute with one place more than the server has: each comparison must fail",
    )
    arguments = parser.parse_args()
    if arguments.requests < 100:
        parser.error("--requests is at least 100")
    print(
        f"{'service':<36}{'refused':>8}{'wait':>8}{'begin':>8}{'reply':>8}{'reply':>8}{'> 1 ms':>8}"
        f"\n{'':<36}{'':>8}{'mean':>8}{'max':>8}{'mean':>8}{'max':>8}   (ms)"
    )
    is_small = True
    with ServerProcess() as server:
        for case in CASES:
            service = Service.parse(case.flags)
            computed = service
            if arguments.wrong_capacity:
                if not service.capacity:
                    continue
                computed = with_another_place(service)
            record = run(server, case, service, arguments.requests)
            found = Difference.of(record, computed)
            is_small &= found.is_small
            print(
                f"{str(service) or 'none':<36}{found.refused:>8}{found.mean_wait_ns / 1e6:>8.2f}"
                f"{found.most_begin_ns / 1e6:>8.3f}{found.mean_reply_ns / 1e6:>8.3f}"
                f"{found.most_reply_ns / 1e6:>8.2f}{found.share_late:>8.2%}"
                f"{'' if found.is_small else '  differs'}"
            )
    return 0 if is_small else 1


def run(server: ServerProcess, case: Case, service: Service, requests: int) -> RunRecord:
    """Let the floor crawler send requests to the server; return the ledger."""
    control_url = server.addresses.control_url
    drawn = random.Random(_SEED)  # noqa: S311
    announce_run(control_url, "service", requests, service)
    command = crawler_command(Entrant(FLOORS[0], FLOORS[0]), "--worker")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        Spec(
            crawler=FLOORS[0],
            concurrency=case.concurrency,
            timeout_s=60.0,
            base_url=server.addresses.data_url,
            is_planned=True,
            run_name="service",
            delays_us=array(
                "I",
                [round(drawn.expovariate(1 / case.mean_delay_ms) * 1000) for _ in range(requests)],
            ),
        ).send(process.stdin)
        Outcome.read(process.stdout, requests)
        process.wait()  # the end of its stdin would interrupt it
    record = fetch_run(control_url, "service")
    delete_run(control_url, "service")
    if process.returncode:
        raise SystemExit(f"the crawler failed with exit code {process.returncode}")
    if record.rows != requests:
        raise SystemExit(f"{record.rows} of {requests} requests arrived")
    return record


def with_another_place(service: Service) -> Service:
    """Return the service with a capacity that is one higher."""
    steps = tuple(CapacityStep(step.capacity + 1, step.from_s) for step in service.capacity)
    return replace(service, capacity=steps)


if __name__ == "__main__":
    sys.exit(main())
