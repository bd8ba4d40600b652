"""Sweeps of servers that run already: whose they are, which hosts are allowed, what is kept."""

import json
import re
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.analyse import analyse
from bench.cli.parser import parse
from bench.cli.run import asked_for
from bench.errors import MachineError, StoreError, UsageError
from bench.kinds import kind_of
from bench.measure.limits import TooMuchError
from bench.measure.loopback import HostError, check_loopback
from bench.measure.runner import Target
from bench.measure.session import Ending, measure, resume
from bench.measure.targets import sweep_target
from bench.plan.crawl import CrawlExperiment
from bench.plan.delays import Delay
from bench.plan.experiment import Experiment
from bench.results.store import FILE_NAME, Store
from crawlers.trust import BY_DEFAULT
from plots.sweep_page import sweep_page
from server.process import ServerProcess
from tests.factories import experiment
from tests.foreign_servers import aiohttp_server
from tests.this_process import bench, bench_without_figures

SWEEP = ("run", "--crawlers", "protocol", "--concurrency", "1,2", "--trials", "1")


def resolve(monkeypatch: pytest.MonkeyPatch, addresses: dict[str, list[str]]) -> None:
    def getaddrinfo(host: str, *_: object, **__: object) -> list[Any]:
        if host not in addresses:
            raise socket.gaierror(-2, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in addresses[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    ("addresses", "why"),
    [
        (["127.0.0.1"], ""),
        (["127.0.0.1", "::1"], ""),
        (["127.8.9.10"], ""),
        (["192.0.2.7"], "a.test (192.0.2.7) is not this machine"),
        (["127.0.0.1", "2001:db8::1"], "a.test (2001:db8::1) is not this machine"),
        ([], "'a.test' has no address: Name or service not known"),
    ],
)
def test_only_hosts_that_resolve_to_loopback_alone_are_loaded(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], why: str
) -> None:
    resolve(monkeypatch, {"a.test": addresses} if addresses else {})
    urls = ("http://a.test:80/x", "https://a.test/y")
    if not why:
        check_loopback(urls)
        return
    with pytest.raises(HostError) as caught:
        check_loopback(urls)
    assert str(caught.value).startswith(why)
    assert "--i-may-load-this-host" in str(caught.value) or not addresses


def test_every_url_of_a_list_is_looked_at_and_a_literal_is_named_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve(monkeypatch, {"localhost": ["127.0.0.1"], "192.0.2.7": ["192.0.2.7"]})
    with pytest.raises(HostError, match=r"^192\.0\.2\.7 is not this machine"):
        sweep_target(
            "", ("http://localhost/", "http://192.0.2.7/"), BY_DEFAULT, may_load_any_host=False
        )


def test_a_server_that_does_not_listen_is_named_before_any_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(MachineError, match=f"no server listens at http://127.0.0.1:{port}/x"):
        sweep_target(f"http://127.0.0.1:{port}/x", (), BY_DEFAULT, may_load_any_host=False)


@pytest.mark.parametrize(
    ("changes", "plan", "words"),
    [
        ({}, "delay 100 ms; 10 × C", "--delay 100"),
        ({"url": "http://127.0.0.1:9", "floor": "protocol"}, "9; delay 100 ms;", "--url"),
        (
            {"url": "http://127.0.0.1:9/x", "delays": (Delay.fixed(0),)},
            "http://127.0.0.1:9/x; 10 × C",
            "--url http://127.0.0.1:9/x --trials",
        ),
        (
            {"urls": ("http://a/",), "urls_from": "l", "delays": (Delay.fixed(0),), "requests": 7},
            "URLs from l; 7 requests",
            "--urls l --trials",
        ),
        (
            {"url": "https://a/", "delays": (Delay.fixed(0),), "cafile": "/c", "is_insecure": True},
            "https://a/;",
            "--url https://a/ --cafile /c --insecure",
        ),
    ],
)
def test_a_plan_names_what_is_fetched_and_a_delay_only_if_it_is_known(
    changes: dict[str, Any], plan: str, words: str
) -> None:
    asked = experiment(**changes)
    assert plan in asked.format_plan()
    assert words in asked.command()
    is_known = not (asked.url or asked.urls) or bool(asked.floor)
    assert ("delay" in asked.format_plan(), "--delay" in asked.command()) == (is_known, is_known)


def test_the_urls_of_a_list_begin_again_from_the_start() -> None:
    asked = experiment(urls=("http://a/0", "http://a/1"), urls_from="l")
    assert [asked.url_of(seq)[-1] for seq in range(5)] == ["0", "1", "0", "1", "0"]


def test_a_foreign_server_is_swept_without_ceiling_ledger_or_delay(tmp_path: Path) -> None:
    with aiohttp_server() as url:
        (tmp_path / "urls").write_text(f"{url}/length\n{url}/nothing\n{url}/length\n")
        words = ("--urls", str(tmp_path / "urls"), "-n", "4", "--out", str(tmp_path))
        done = bench_without_figures(*SWEEP, *words)
    assert done.returncode == 1, done
    assert done.stderr.count("status 404") == 1
    assert f"status 404: {url}/nothing (2 times)" in done.stderr
    folder = (tmp_path / "latest-sweep").resolve()
    with Store.open(folder / FILE_NAME) as store:
        asked, runs = store.read_asked(Experiment), store.runs()
        assert not isinstance(asked, CrawlExperiment)
        assert len(asked.urls) == 3
        assert [(run.role, run.requests, run.unrecorded) for run in runs] == [("cell", 4, None)] * 2
        page = sweep_page(store, analyse(store), [])
    exported = bench("export", str(folder), "--what", "requests", "--format", "json")
    rows = json.loads(exported.stdout)
    assert [row["url"].rpartition("/")[2] for row in rows[:4]] == [
        "length",
        "nothing",
        "length",
        "length",
    ]
    assert [row["status"] for row in rows] == [200, 404, 200, 200] * 2
    for text in (done.stdout, page):
        assert not re.search(r"(?<![.\d])0 ms", text.replace("p50 ms", ""))
        assert "efficiency  " not in text
        assert "The ideal makespan" not in text
        assert text.count("there is no ledger of what") == 1


def test_the_missing_runs_of_a_sweep_fetch_the_same_url(tmp_path: Path) -> None:
    with aiohttp_server() as url:
        asked = experiment(
            url=f"{url}/length", delays=(Delay.fixed(0),), concurrencies=(1, 2), requests=3
        )
        create = Store.create(tmp_path / FILE_NAME, asked, 2, {}, "2026-01-01T00:00:00+00:00")
        create.close()
        assert resume(tmp_path, kind_of, allow_foreign=False).ending is Ending.DONE
        ours = replace(asked, floor="protocol")
        with Store.open(tmp_path / FILE_NAME) as store:
            fetched = [store.fetches(run.number)["status"].tolist() for run in store.runs()]
        assert fetched == [[200, 200, 200]] * 2
        other = tmp_path / "other"
        other.mkdir()
        Store.create(other / FILE_NAME, ours, 4, {}, "2026-01-01T00:00:00+00:00").close()
        with pytest.raises(StoreError, match="is not a crawlbench server, unlike when"):
            resume(other, kind_of, allow_foreign=False)


def test_a_server_of_ours_that_runs_already_is_swept_with_its_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.plan.experiment.CEILING_REQUESTS", 20)
    with ServerProcess() as server:
        words = (*SWEEP, "--url", server.addresses.data_url, "--delay", "1", "-n", "4")
        asked, target = asked_for(parse(words)[1])
        folder = measure(asked, tmp_path, target).folder
    with Store.open(folder / FILE_NAME) as store:
        analysis = analyse(store)
    trials = [*analysis.ceilings, *(trial for cell in analysis.cells for trial in cell.trials)]
    assert [trial.run.requests for trial in trials] == [20, 20, 4, 4]
    for trial in trials:
        assert trial.summary is not None
        assert trial.summary.reconciliation is not None
        assert trial.summary.reconciliation.matched == trial.run.requests


def test_more_than_a_running_server_may_open_is_named_before_any_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure.limits.stats", lambda _: {"connections": {"most": 1}})
    asked = experiment(url="http://127.0.0.1:1", floor="protocol")
    target = Target("http://127.0.0.1:1", "http://127.0.0.1:2")
    with pytest.raises(TooMuchError, match="may open 1 connections, and a concurrency of 100"):
        measure(asked, tmp_path, target)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--delay", "5"], "--delay"),
        (["--size", "1k", "--capacity", "5", "--queue", "3"], "--size, --capacity, --queue"),
    ],
)
def test_what_only_a_server_of_ours_understands_is_refused_for_others(
    words: list[str], options: str
) -> None:
    with aiohttp_server() as url:
        arguments = parse((*SWEEP, "--url", f"{url}/length", *words))[1]
        with pytest.raises(UsageError, match=f"so {options} cannot be used: give the address"):
            asked_for(arguments)
        asked, _ = asked_for(parse(("run", "--url", f"{url}/length", "--rate", "5"))[1])
    assert (asked.floor, asked.delays, asked.requests) == ("", (Delay.fixed(0),), 0)


def test_a_host_of_a_results_file_is_no_reason_to_load_it(tmp_path: Path) -> None:
    asked = experiment(url="http://192.0.2.7/", delays=(Delay.fixed(0),))
    Store.create(tmp_path / FILE_NAME, asked, 20, {}, "2026-01-01T00:00:00+00:00").close()
    done = bench("run", "--resume", str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "192.0.2.7 is not this machine" in done.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--url", "http://192.0.2.7/"], "192.0.2.7 is not this machine"),
        (["--i-may-load-this-host"], "only works with --url, --urls or --resume"),
        (
            ["--urls", "x", "--url", "http://127.0.0.1:1", "--delay", "1", "--capacity", "5"],
            "leave out --url, --delay, --capacity",
        ),
        (["--urls", "/no/such/file"], "cannot read the URLs of /no/such/file"),
        (["--url", "ftp://127.0.0.1/"], "is not a URL like"),
        (["--resume", "x", "--url", "http://127.0.0.1:1"], "leave out --url"),
    ],
)
def test_mistakes_are_named_in_one_line(words: list[str], why: str) -> None:
    done = bench("run", *words)
    assert done.returncode == 2
    assert why in done.stderr.splitlines()[-1]
