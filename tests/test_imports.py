"""Imports run one way, and nothing heavy is imported where it is not used."""

import ast
import subprocess
import sys
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
        "server.process_usage",
    },
    "bench": {"bench", "crawlers", "server"},
    "plots": {"plots", "bench", "server.parent"},
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


@pytest.mark.parametrize(
    "module",
    [
        *("server.request_plan", "server.process", "server.control_client", "server.ledger"),
        *(
            "crawlers.registry",
            "crawlers.spec",
            "crawlers.__main__",
            "plots",
            "server.packed_columns",
        ),
        *("server.announcement", "bench.__main__", "crawlers", "crawlers.contract"),
    ],
)
def test_what_others_import_is_the_standard_library_alone(module: str) -> None:
    program = (
        f"import sys; before = set(sys.modules); import {module};"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    )
    foreign = set(done.stdout.split()) - set(sys.stdlib_module_names) - set(PACKAGES)
    assert not foreign


def test_only_the_crawler_that_patches_the_process_does() -> None:
    program = (
        "import sys, crawlers.registry as registry, bench.runner;"
        "import socket; assert socket.socket.__module__ == 'socket', 'patched';"
        "registry.load(registry.find('gevent'));"
        "assert socket.socket.__module__.startswith('gevent'), 'not patched'"
    )
    subprocess.run([sys.executable, "-P", "-W", "error", "-c", program], check=True)


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
