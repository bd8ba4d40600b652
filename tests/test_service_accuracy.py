"""scripts/service finds a server that has another capacity than it was given."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from server.ledger import ANSWERED, RunLedger
from server.service import Service, ServiceState
from tests.factories import MS, record_of

SCRIPT = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "service_accuracy.py"))


@pytest.mark.parametrize(
    ("late_ms", "is_small"),
    [
        ([0.2], True),
        ([0.2] * 99 + [5], True),
        ([0.2] * 98 + [5] * 2, False),  # too many
        ([0.9], False),  # too late in the mean
    ],
)
def test_replies_may_be_a_little_late(late_ms: list[float], is_small: bool) -> None:
    of = Service.parse({"capacity": "10"})
    assert difference(of, of, late_ms).is_small == is_small


@pytest.mark.parametrize("capacity", ["2", "4"])
def test_another_capacity_differs(capacity: str) -> None:
    found = difference(Service.parse({"capacity": "3"}), Service.parse({"capacity": capacity}))
    assert not found.is_small
    assert found.most_begin_ns > 10 * MS


def test_other_refusals_differ() -> None:
    given, other = ({"capacity": "3", "queue": queue} for queue in "45")
    assert difference(Service.parse(given), Service.parse(other)).other_statuses


def difference(given: Service, computed: Service, late_ms: list[float] | None = None) -> Any:
    """Compare a ledger of one service with another: twenty requests of 40 ms, every 10 ms."""
    ledger, state = RunLedger(b""), ServiceState(given)
    for seq in range(200):
        arrived_ns = seq * 10 * MS
        admission = state.admit(arrived_ns, 40_000)
        status = admission.status or 200
        row = ledger.arrive(seq, 1, arrived_ns, 40_000, status, admission)
        late_ns = round((late_ms or [0.2])[seq % len(late_ms or [0.2])] * MS)
        ledger.close_row(row, ANSWERED, admission.due_ns + late_ns)
    return SCRIPT["Difference"].of(record_of(ledger), computed)
