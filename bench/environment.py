"""On what it is measured: the machine, the versions, the commit."""

import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.schema import RunRow
from server import __version__

OF_CRAWLERS = "crawlers' "
"""How the names of the versions begin that crawlers reported."""
_DISTRIBUTIONS = ("tornado", "httptools", "uvloop", "numpy", "matplotlib")


def describe_environment(pinning_note: str) -> dict[str, Any]:
    """For a results file and the small print of plots; all values are JSON."""
    return {
        "crawlbench": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "kernel": platform.release(),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "pinning": pinning_note,
        "libraries": {name: _version(name) for name in _DISTRIBUTIONS},
    }


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Between what describe_environment gave twice: `kernel differs: 6.1 and 6.2`."""
    flat_before, flat_after = (
        {**one, **one.get("libraries", {}), "libraries": ""} for one in (before, after)
    )
    for name in sorted({*flat_before, *flat_after} - {"resumed"}):
        is_in_both = name in flat_before and name in flat_after
        is_of_one = name.startswith(OF_CRAWLERS) and not is_in_both
        # A library of a crawler that took part in one of the two alone.
        if flat_before.get(name) != flat_after.get(name) and not is_of_one:
            yield f"{name} differs: {flat_before.get(name)} and {flat_after.get(name)}"


def machine_shown(about: Mapping[str, Any]) -> str:
    """`crawlbench 0.1.0 abc1234, 2 x CPU, Linux x86_64`, of what describe_environment gave."""
    known: dict[str, Any] = dict.fromkeys(("crawlbench", "commit", "cpus", "cpu", "system"), "?")
    known.update(about)
    ours = f"crawlbench {known['crawlbench']} {known['commit'] or ''}".strip()
    return f"{ours}, {known['cpus']} x {known['cpu']}, {known['system']}"


def versions_shown(runs: Iterable[RunRow]) -> str:
    """Of Python and of all libraries of these runs; where they differ, by crawler."""
    by_library: dict[str, dict[str, list[str]]] = {}
    for run in runs:
        for library, version_of in run.versions.items():
            crawlers = by_library.setdefault(library, {}).setdefault(version_of, [])
            if run.crawler not in crawlers:
                crawlers.append(run.crawler)
    parts = []
    for library, versions in sorted(by_library.items()):
        if len(versions) == 1:
            parts.append(f"{library} {next(iter(versions))}")
        else:
            parts += [
                f"{library} {version_of} ({', '.join(crawlers)})"
                for version_of, crawlers in sorted(versions.items())
            ]
    return ", ".join(parts)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Of the checkout, with a + if it has been changed since; None without git."""
    root = Path(__file__).parent.parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
