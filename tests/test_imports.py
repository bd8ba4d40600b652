"""Imports run one way, and nothing heavy is imported where it is not used."""

import ast
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ALLOWED = {
    "server": {"server"},
    "crawlers": {
        "crawlers",
        "server.request_plan",
        "server.packed_columns",
        "server.parent",
        "server.precise_selector",
        "server.process_usage",
        "server.site",
        "server.standard_streams",
    },
    "bench": {"bench", "crawlers", "server"},
    "plots": {"plots", "bench", "server.parent", "server.standard_streams"},
}
PACKAGES = tuple(ALLOWED)


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        ours = {name for name in imports_of(path) if name.partition(".")[0] in PACKAGES}
        for name in ours:
            allowed = any(
                name == other or name.startswith(f"{other}.") for other in ALLOWED[package]
            )
            assert allowed, f"{path.relative_to(ROOT)} imports {name}"


def loaded_by(modules: Iterable[str]) -> dict[str, list[str]]:
    """What is loaded when one after another is imported in a fresh interpreter: which are new."""
    program = (
        "import json, sys\nfrom importlib import import_module\n"
        "loaded, found = set(sys.modules), {}\n"
        "for name in sys.argv[1:]:\n"
        "    import_module(name)\n"
        "    found[name] = sorted(set(sys.modules) - loaded)\n"
        "    loaded |= set(sys.modules)\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *modules], capture_output=True, text=True, check=True
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_what_others_import_is_the_standard_library_alone() -> None:
    modules = (
        *("server.request_plan", "server.process", "server.control_client", "server.ledger"),
        *("crawlers.registry", "crawlers.loading", "crawlers.spec", "crawlers.__main__", "plots"),
        *("server.packed_columns", "server.announcement", "bench.__main__", "crawlers"),
        "crawlers.contract",
    )
    known = {*sys.stdlib_module_names, *PACKAGES}
    for module, loaded in loaded_by(modules).items():
        assert not {name.partition(".")[0] for name in loaded} - known, module


def test_only_the_crawler_that_patches_the_process_does() -> None:
    program = (
        "import sys, bench.measure.runner; from crawlers import loading, registry;"
        "import socket; assert socket.socket.__module__ == 'socket', 'patched';"
        "loading.load(registry.find('gevent'));"
        "assert socket.socket.__module__.startswith('gevent'), 'not patched'"
    )
    subprocess.run([sys.executable, "-P", "-W", "error", "-c", program], check=True)


def test_tornados_own_client_runs_where_there_is_no_pycurl() -> None:
    """A crawl whose process would end with a traceback if anything imported pycurl."""
    program = (
        "import sys; sys.modules['pycurl'] = None;"
        "from crawlers.contract import Job, Recorder; from crawlers import loading, registry\n"
        "for name in ('tornado-simple', 'tornado-simple-callback'):\n"
        "    recorder = Recorder()\n"
        "    crawl = loading.load(registry.find(name))\n"
        "    crawl(iter([Job(0, 'http://127.0.0.1:1/')]), 1, 5.0, recorder)\n"
        "    assert len(recorder) == 1, name\n"
    )
    subprocess.run([sys.executable, "-P", "-c", program], check=True)


def test_the_server_does_not_import_what_it_does_not_use() -> None:
    program = (
        "import sys; import server.__main__, server.control_port, server.data_port;"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {"numpy", "matplotlib", "aiohttp", "gevent", "requests", "rich", "psutil", "uvloop"}
    assert not heavy & set(done.stdout.split())


@pytest.fixture
def namesakes(tmp_path: Path) -> Path:
    """A folder with modules named like our packages, and a crawler named like nothing of ours."""
    for name in PACKAGES:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "brought_along.py").write_text(
        "import server.request_plan\nfrom crawlers.asyncio_protocol import crawl\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(
            ["bench", "crawl", "protocol", "-n", "2", "-c", "1", "--delay", "0"],
            "2 matched",
            marks=pytest.mark.thorough,
        ),
        (["bench", "crawl", "brought_along:crawl", "-n", "2", "-c", "1"], "2 matched"),
        (["crawlers", "--help"], "Crawl by hand"),
        (["plots", "--help"], "Draw every figure"),
        (["server", "--version"], "crawlbench "),
    ],
)
def test_packages_of_ours_win_over_their_namesakes(
    namesakes: Path, command: list[str], said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", *command],
        env={**os.environ, "PYTHONPATH": str(namesakes)},
        cwd=namesakes,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert said in done.stdout, done


def test_packages_of_ours_win_in_the_processes_that_a_saver_starts(namesakes: Path) -> None:
    program = (
        "if __name__ == '__main__':\n"
        "    from multiprocessing import get_context\n"
        "    from concurrent.futures import ProcessPoolExecutor\n"
        "    from server.request_plan import parse_delay_us\n"
        "    with ProcessPoolExecutor(1, get_context('spawn')) as pool:\n"
        "        print(pool.submit(parse_delay_us, '7').result())\n"
    )
    script = namesakes / "saver.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(namesakes)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stdout == "7000\n", done


def test_a_crawler_named_like_a_package_of_ours_is_told_from_it(namesakes: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "bench", "crawl", "server:crawl", "-n", "1"],
        env={**os.environ, "PYTHONPATH": str(namesakes)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 3
    assert "'server' is a package of crawlbench: give your module another name" in done.stderr


def test_a_namesake_that_hides_a_package_is_named(namesakes: Path) -> None:
    """Without the set-up of scripts/env.sh, which python -S passes over."""
    (namesakes / "bench.py").unlink()
    path = [str(namesakes), str(ROOT), sysconfig.get_path("purelib")]
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-m", "bench", "list"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"crawlbench: {namesakes / 'crawlers.py'} hides the package 'crawlers' of crawlbench: "
        "rename it, or take its folder out of PYTHONPATH\n"
    )


def test_the_processes_that_are_measured_know_nothing_of_results() -> None:
    modules = (
        *("crawlers.spec", "crawlers.work", "crawlers.__main__", "server.__main__"),
        *("bench.primes.work", "bench.primes.no_io", "bench.primes.asyncio_saver"),
        *("bench.primes.uvloop_saver", "bench.primes.file_io", "bench.primes.aiohttp_batches"),
        *("bench.primes.uvloop_sleep_saver", "bench.primes.batches"),  # gevent's patch comes last
    )
    for module, loaded in loaded_by(modules).items():
        assert "msgspec" not in loaded, module
        assert not [name for name in loaded if name.startswith("bench.results")], module


PURE = (
    *(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for room in ("plan", "analysis")
        for path in sorted((ROOT / "bench" / room).rglob("*.py"))
    ),
    *("bench.results.columns", "bench.results.conditions", "bench.results.environment"),
    *("bench.results.run_result", "bench.results.schema", "bench.results.codec"),
    "bench.results.rows",
    *("bench.primes.schedule", "bench.primes.saved_run", "bench.primes.analysis"),
)
"""What numbers mean: without files, processes, command lines or terminals."""


@pytest.mark.without_coverage  # which imports sqlite3 itself
def test_what_is_pure_imports_nothing_that_is_not() -> None:
    impure = {"sqlite3", "subprocess", "argparse", "rich", "socket", "tempfile", "psutil"}
    for module, loaded in loaded_by(PURE).items():
        assert not impure & set(loaded), module
