"""Rules about bodies: large ones, ones that end late, and ones that are sent."""

from collections.abc import Iterator
from functools import partial
from time import monotonic, sleep

from bench.analysis.join import Join
from bench.contract.evidence import abbreviated, failure_counts, require
from bench.contract.rules import MUST, Rule
from bench.contract.runs import ContractRunner, UnknownError, accounts_of
from bench.plan.sizes import Size
from server.control_client import ControlError, fetch_run
from server.ledger import ANSWERED, WAITING, RunRecord
from server.request_plan import LATE_S, MAX_SIZE_BYTES, Plan, to_target

_BODY_BYTES = MAX_SIZE_BYTES
"""More than the buffers of both sockets hold, so that the server needs a client that reads."""
_LATE_BODY_BYTES = 10
_SENT_BYTES = 300_000
_SETTLE_S = 2.0


def body_rules(runner: ContractRunner) -> Iterator[Rule]:
    """Yield the rules about bodies; each does its own run."""
    yield Rule(MUST, "the whole body is read", partial(_large, runner))
    yield Rule(MUST, "a fetch ends with the last byte of its body", partial(_late, runner))
    yield Rule(MUST, "a body is sent once, whole, by POST", partial(_sent, runner))


def _large(runner: ContractRunner) -> str:
    name = f"large-body-{runner.number}"
    target = to_target(Plan(name, delay_us=0, size_bytes=_BODY_BYTES))
    fetches, _ = accounts_of(runner.run(2, 1, url=f"{runner.server.addresses.data_url}{target}"))
    sizes = fetches["size_bytes"].tolist()
    require(sizes == [_BODY_BYTES] * 2, f"{sizes} bytes of {_BODY_BYTES} each")
    outcomes = list(_settled(runner, name).columns["outcome"])
    whole = outcomes.count(ANSWERED)
    require(
        outcomes == [ANSWERED] * 2,
        f"only {whole} of 2 bodies left the server completely: they are recorded, but not read",
    )
    return f"{_BODY_BYTES:,} bytes, all read"


def _late(runner: ContractRunner) -> str:
    fetches, arrivals = accounts_of(runner.run(2, 1, faults={0: "late-body", 1: "late-body"}))
    join = Join.of(fetches, arrivals)
    words, sizes = failure_counts(fetches), fetches["size_bytes"].tolist()
    require(not words, f"recorded as {words}")
    require(sizes == [_LATE_BODY_BYTES] * 2, f"{sizes} bytes of {_LATE_BODY_BYTES} each")
    for row, seq in enumerate(fetches["seq"]):
        require(bool(join.has_arrived[row]), f"seq {seq} is recorded, but never arrived")
        after_s = (fetches["end_ns"][row] - join.replied_ns[row]) / 1e9
        require(
            after_s >= LATE_S,
            f"the last byte came after {LATE_S:g} s, and the fetch ended after {after_s:.3f} s",
        )
    return f"its second half came after {LATE_S:g} s, and was waited for"


def _sent(runner: ContractRunner) -> str:
    result = runner.run(2, 1, body=Size(str(_SENT_BYTES)))
    fetches, arrivals = accounts_of(result)
    assert result.ledger is not None
    head = result.ledger.first_request_head.decode("latin-1").lower()
    said = f"it sends: {head.splitlines()[:1]}"
    if head.startswith("get ") and not runner.info.is_declared:
        raise UnknownError(f"{said}: it cannot be used with --method POST")
    require(head.startswith("post /add?"), said)
    require(f"content-length: {_SENT_BYTES}\r\n" in head, f"no Content-Length of {_SENT_BYTES}")
    require("content-type: application/json\r\n" in head, "no Content-Type: application/json")
    require("accept-encoding: identity\r\n" in head, "no Accept-Encoding: identity")
    # The server answers when it has read a whole body; bytes beyond it would be another request.
    words, sent = failure_counts(fetches), sorted(arrivals["seq"].tolist())
    require(not words, f"recorded as {words}")
    require(sent == [0, 1], f"2 jobs, sent: {abbreviated(sent)}")
    return f"2 bodies of {_SENT_BYTES:,} bytes, each sent once"


def _settled(runner: ContractRunner, name: str) -> RunRecord:
    """Return the ledger of a run that has ended; the server may notice a close a little later."""
    deadline = monotonic() + _SETTLE_S
    while True:
        try:
            record = fetch_run(runner.server.addresses.control_url, name)
        except ControlError as error:
            if error.status != 404:
                raise
            return RunRecord.empty(name)
        if WAITING not in record.columns["outcome"] or monotonic() > deadline:
            return record
        sleep(0.02)
