"""The delay server with one thing wrong: `python -m tests.controls.sick_server ILLNESS FLAGS`."""

import resource
import sys
import time

from tornado.iostream import IOStream

import server.data_port
from server.__main__ import main
from server.connection import Connection, Reply
from server.data_port import DataPort


class Late(DataPort):
    """Answers 8 ms later than asked."""

    def reply_to(self, method: str, target: str, at_ns: int, connection: Connection) -> Reply:
        reply = super().reply_to(method, target, at_ns, connection)
        return reply._replace(due_ns=reply.due_ns + 8_000_000)


class Busy(DataPort):
    """Spends a millisecond of CPU on each request."""

    def reply_to(self, method: str, target: str, at_ns: int, connection: Connection) -> Reply:
        until_ns = time.thread_time_ns() + 1_000_000
        while time.thread_time_ns() < until_ns:
            pass
        return super().reply_to(method, target, at_ns, connection)


class Stalling(DataPort):
    """Stands still once, for 0.4 s."""

    def reply_to(self, method: str, target: str, at_ns: int, connection: Connection) -> Reply:
        if "seq=500&" in target:
            time.sleep(0.4)
        return super().reply_to(method, target, at_ns, connection)


class SlowToAccept(DataPort):
    """Accepts nobody for 0.2 s after the first connection."""

    def handle_stream(self, stream: IOStream, address: object) -> None:
        if not self.accepted:
            time.sleep(0.2)
        super().handle_stream(stream, address)


ILLNESSES = {
    "late": Late,
    "busy": Busy,
    "stall": Stalling,
    "short-backlog": SlowToAccept,
    "few-files": DataPort,
}

if __name__ == "__main__":
    illness = sys.argv.pop(1)
    server.data_port.DataPort = ILLNESSES[illness]  # type: ignore[misc]
    if illness == "short-backlog":
        server.data_port.BACKLOG = 4
    if illness == "few-files":
        resource.setrlimit(resource.RLIMIT_NOFILE, (130, 130))
    sys.exit(main())
