"""What says on which machines a run is made, and what is known of their clocks."""

import platform
import subprocess
import sys
from argparse import Namespace
from array import array
from pathlib import Path

import numpy as np
import pytest

from bench.cli.cluster_options import check_clock, cluster_of
from bench.cli.parser import parse
from bench.cluster.address import ClusterAddress, ClusterAddressError
from bench.cluster.clocks import on_server_clock
from bench.cluster.differences import check_alike
from bench.cluster.errors import ClusterError
from bench.cluster.on_worker import Facts
from bench.errors import StoreError, UsageError
from bench.kinds import kind_of
from bench.measure.carriers import LocalCarrier, Place
from bench.measure.runner import Target
from bench.measure.session import resume
from bench.results.clock import ClockOffset, ClockReading
from bench.results.store import FILE_NAME, Store
from crawlers.contract import FETCH_COLUMNS
from crawlers.installed import command_to_install
from crawlers.runtime import Runtime
from crawlers.spec import Outcome
from crawlers.work import WORK_COLUMNS
from server import __version__
from tests.factories import experiment, q, usage


def test_a_cluster_is_a_scheduler_or_workers_on_this_machine() -> None:
    assert ClusterAddress.parse("tcp://10.0.0.1:8786") == ClusterAddress("tcp://10.0.0.1:8786")
    assert ClusterAddress.parse("local:4") == ClusterAddress(local_workers=4)
    for text in ("tcp://10.0.0.1:8786", "local:4"):
        assert str(ClusterAddress.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "local", "local:0", "local:-1", "local:65", "10.0.0.1:8786", "tcp://10.0.0.1"]
)
def test_what_is_no_cluster_is_refused(text: str) -> None:
    with pytest.raises(ClusterAddressError, match="neither tcp://HOST:PORT"):
        ClusterAddress.parse(text)


HERE = Facts(__version__, platform.python_version(), "a clock")


def test_a_worker_with_the_same_versions_takes_part() -> None:
    assert check_alike("w1", HERE) == HERE


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Facts("0.1", HERE.python, ""), "worker w1 has crawlbench 0.1 on Python"),
        (Facts(HERE.version, "3.9.1", ""), "on Python 3.9.1, and this is crawlbench"),
        (ModuleNotFoundError("No module named 'bench'"), "worker w1 cannot load crawlbench"),
        (Exception("ModuleNotFoundError('bench')"), "worker w1 cannot load crawlbench"),
        (TimeoutError(), "worker w1 does not answer"),
    ],
)
def test_a_worker_that_differs_is_refused_by_name(answer: Facts | Exception, said: str) -> None:
    with pytest.raises(ClusterError, match=said):
        check_alike("w1", answer)


def test_times_are_interpolated_between_both_offsets() -> None:
    before = ClockOffset(1_000_000, 37_500_000, 60_000)
    after = ClockOffset(9_000_000, 37_580_000, 50_000)
    columns = {name: q(0, 0, 0) for name in FETCH_COLUMNS}
    columns["start_ns"], columns["end_ns"] = q(1_000_000, 2_000_000, 9_500_000), q(3, 5, 7)
    columns["seq"] = q(0, 1, 2)
    empty = {name: q() for name in WORK_COLUMNS}
    outcome = Outcome(usage(), {}, columns, empty, 0, runtime=Runtime.of_this_process())
    found = on_server_clock(outcome, ClockReading(before, after))
    # Independently: the server's clock at both instants, and the line through them.
    slope, start = np.polyfit([1e6, 9e6], [1e6 + 37.5e6, 9e6 + 37.58e6], 1)
    for name in ("start_ns", "end_ns"):
        expected = slope * np.array(columns[name]) + start
        assert np.allclose(np.array(found.fetches[name]), expected, rtol=0, atol=1.5)
    assert found.fetches["seq"] == array("q", [0, 1, 2])
    assert found.first_due_ns == 0  # there was none


def refused(words: str) -> str:
    """Return why a command is refused before anything is connected."""
    _, arguments = parse(words.split())
    with pytest.raises(UsageError) as refusal, cluster_of(arguments):
        pass
    return str(refusal.value)


def test_an_address_to_listen_on_is_for_a_server_of_our_own_and_a_cluster() -> None:
    assert refused("crawl asyncio --bind 10.0.0.1") == "--bind only works with --cluster"
    with_url = "run --cluster local:1 --bind 10.0.0.1 --url http://10.0.0.9/"
    assert refused(with_url).startswith("--bind is for the server that crawlbench starts")


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "example.org"])
def test_an_address_that_nobody_reaches_is_refused(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(["run", "--cluster", "local:1", "--bind", address])
    assert f"{address!r} is not an IP address" in capsys.readouterr().err


def test_without_a_server_of_ours_nothing_tells_how_clocks_differ() -> None:
    place = Place(LocalCarrier(), "", "elsewhere", has_our_clock=False)
    check_clock(place, Target("http://10.0.0.9", "http://10.0.0.9:81"))
    with pytest.raises(UsageError, match="only such a server tells how the clocks"):
        check_clock(place, Target("http://10.0.0.9", ""))


def test_a_cluster_that_a_file_names_is_not_connected(tmp_path: Path) -> None:
    elsewhere = Place(LocalCarrier(), "", "elsewhere", has_our_clock=True)
    begun = (
        (experiment(cluster="tcp://10.0.0.9:8786", bind="10.0.0.1"), None),
        (experiment(), elsewhere),
    )
    said = []
    for number, (asked, place) in enumerate(begun):
        folder = tmp_path / str(number)
        folder.mkdir()
        Store.create(folder / FILE_NAME, asked, 1, {}, "2026-01-01T00:00:00+00:00").close()
        with pytest.raises(StoreError) as refusal:
            resume(folder, kind_of, allow_foreign=False, place=place)
        said.append(str(refusal.value).removeprefix(f"cannot resume {folder}: "))
    options = "--cluster tcp://10.0.0.9:8786 --bind 10.0.0.1"
    assert said == [
        f"it was begun on a cluster: if you trust that, add {options}",
        "it was begun on this machine: leave out --cluster",
    ]


def test_without_a_cluster_nothing_is_connected() -> None:
    with cluster_of(Namespace(cluster=None, bind=None)) as place:
        assert place is None


def test_a_missing_library_is_one_line() -> None:
    program = (
        "import sys; sys.modules['distributed'] = None;"
        "from bench.__main__ import main;"
        "sys.exit(main(['crawl', 'asyncio', '--cluster', 'local:1']))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stderr == (
        f"crawlbench: --cluster needs distributed: {command_to_install('distributed')}\n"
    )
