"""What the control port reads and changes in a process that answers the traffic itself."""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from tornado.web import HTTPError

from server.data_port import DataPort
from server.live_counts import LiveCounts
from server.loop_lag import LoopLag
from server.process_usage import peak_memory_bytes
from server.service import Service
from server.site.spec import SiteError, SiteSpec


class SingleProcess:
    """A data port of this process, as a server.control_port.ControlledServer."""

    def __init__(self, data_port: DataPort, lag: LoopLag) -> None:
        self._data_port = data_port
        self._lag = lag

    def pids(self) -> list[int]:
        """Return the id of this process."""
        return [os.getpid()]

    async def stats(self) -> dict[str, Any]:
        """Return the counters since the start."""
        port, lag = self._data_port, self._lag
        cpu_seconds = time.process_time()
        return {
            "monotonic_ns": time.monotonic_ns(),
            "cpu_seconds": cpu_seconds,
            "peak_memory_bytes": peak_memory_bytes(),
            "allocated_blocks": sys.getallocatedblocks(),
            "loop_lag": {
                "samples": lag.samples,
                "mean_ms": lag.sum_ns / max(1, lag.samples) / 1e6,
                "max_ms": lag.max_ns / 1e6,
            },
            "connections": {
                "accepted": port.accepted,
                "open": len(port.connections),
                "turned_away": port.turned_away,
                "most": port.max_connections,
            },
            "requests": port.requests,
            "answered_by_status": dict(port.answered_by_status),
            "client_gone": port.unanswered,
            "in_flight": port.in_flight,
            "in_flight_peak": port.in_flight_peak,
            "ledger": {
                "runs": len(port.ledger.runs),
                "rows": port.ledger.rows,
                "unrecorded": port.ledger.unrecorded,
            },
            "processes": [
                {
                    "pid": os.getpid(),
                    "requests": port.requests,
                    "accepted": port.accepted,
                    "cpu_seconds": cpu_seconds,
                }
            ],
        }

    async def live(self) -> LiveCounts:
        """Return the few counters that are asked for several times a second."""
        port = self._data_port
        refused = sum(n for status, n in port.answered_by_status.items() if status >= 400)
        return LiveCounts(
            monotonic_ns=time.monotonic_ns(),
            requests=port.requests,
            ended=port.requests - port.in_flight,
            in_flight=port.in_flight,
            errors=refused + port.faults_played + port.unanswered,
            times=dict(port.times),
        )

    async def packed_run(self, name: str, load_from_ns: int | None) -> Iterator[bytes]:
        """Return the ledger of a run, as RunLedger.pack yields it."""
        run = self._data_port.ledger.find(name)
        if run is None:
            raise HTTPError(404, reason="no run of that name")
        if load_from_ns is None:
            load_from_ns = run.arrived_ns[0] if len(run) else 0
        return run.pack(name, self._lag.since(load_from_ns))

    async def announce(self, name: str, rows: int, service: Service, site: SiteSpec | None) -> None:
        """Announce a run, its service and its site, and reserve rows for it."""
        ledger, sites = self._data_port.ledger, self._data_port.sites
        if site is not None:
            try:
                sites.check(site)
            except SiteError as error:
                raise HTTPError(400, reason=str(error)) from None
        if ledger.find(name) is not None:
            raise HTTPError(409, reason="a run of that name already exists")
        if not ledger.announce(name, rows, service):
            raise HTTPError(409, reason="too many runs are announced: DELETE some of them")
        if site is not None:
            sites.add(site)

    async def delete(self, name: str) -> None:
        """Forget a run, and its site."""
        if not self._data_port.ledger.delete(name):
            raise HTTPError(404, reason="no run of that name")
        self._data_port.sites.forget(name)
