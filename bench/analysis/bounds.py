"""What no honest run can beat, whatever the service and the client's overhead. Pure.

The ideal client is a bound only for some services (bench.plan.ideal.is_bound). These hold always.
Each function returns by how many ns a run is beyond the bound, or None. All times are in ns.
"""

from dataclasses import replace
from heapq import heapreplace
from typing import TYPE_CHECKING

import numpy as np

from server.service import Service, ServiceState

if TYPE_CHECKING:
    from numpy.typing import NDArray


def faster_than_slots(
    start_ns: "NDArray[np.int64]",
    end_ns: "NDArray[np.int64]",
    delay_ns: "NDArray[np.int64]",
    slots: int,
) -> int | None:
    """Return how much less time a run took than the list schedule of its own starts on its slots.

    `delay_ns` is the least time that each request took: its delay if it was served, 0 otherwise. If
    at most `slots` are in flight, then no request starts before its place in the list schedule, by
    induction over the order of starts. Of a crawler whose clocks run while requests wait inside it,
    the arrivals at the server are the starts.
    """
    if not len(start_ns):
        return None
    free_at = [0] * min(slots, len(start_ns))
    for delay in delay_ns[np.argsort(start_ns, kind="stable")].tolist():
        heapreplace(free_at, free_at[0] + delay)
    return _beyond(max(free_at) - int(end_ns.max() - start_ns.min()))


def faster_than_service(
    arrived_ns: "NDArray[np.int64]",
    begin_ns: "NDArray[np.int64]",
    replied_ns: "NDArray[np.int64]",
    delay_us: "NDArray[np.int64]",
    service: Service,
    *,
    first_ns: int,
) -> int | None:
    """Return how much less time the server took than the list schedule of its own arrivals.

    The columns are those of requests that were served. They are scheduled in the order of arrival
    as if all had arrived with the first of them, on as many places as the capacity has at that
    time, with the service's stalls. `first_ns` is the first arrival of the run, served or not, from
    which the service counts time. A slowdown is left out: it depends on who is served together.
    """
    if not len(arrived_ns):
        return None
    order = np.lexsort((begin_ns, arrived_ns))
    state = ServiceState(
        replace(service, queue=None, rate_limit_per_s=0.0, burst=0.0, sigma=0.0, kappa=0.0)
    )
    state.admit(first_ns, 0)
    from_ns = int(arrived_ns.min())
    ends_ns = (state.admit(from_ns, delay).due_ns for delay in delay_us[order].tolist())
    return _beyond(max(ends_ns) - int(replied_ns.max()))


def started_early(
    start_ns: "NDArray[np.int64]", due_ns: "NDArray[np.int64]", bound_ns: int = 0
) -> int | None:
    """Return by how much the worst start in open loop came before its due time, if any did.

    Starts are wrong by `bound_ns` at most.
    """
    early_ns = int((due_ns - start_ns).max()) if len(start_ns) else 0
    return early_ns if early_ns > bound_ns else None


def _beyond(excess_ns: int) -> int | None:
    return excess_ns if excess_ns > 0 else None
