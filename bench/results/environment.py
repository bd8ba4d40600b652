"""Formats descriptions of the environment of results, and finds their differences. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.results.schema import RunRow

OF_CRAWLERS = "crawlers' "
"""Prefix of the names of the versions that crawlers reported."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """A resumption of the experiment, as an item of the list `resumed` of its environment."""

    at_utc: str
    different: list[str]
    """What had changed on the machine since the experiment started, one sentence each."""


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield differences of two environments, as in `kernel differs: 6.1 and 6.2`."""
    flat_before, flat_after = (
        {**one, **one.get("libraries", {}), "libraries": ""} for one in (before, after)
    )
    for name in sorted({*flat_before, *flat_after} - {"resumed"}):
        is_in_both = name in flat_before and name in flat_after
        is_of_one = name.startswith(OF_CRAWLERS) and not is_in_both
        # The library of a crawler that was only measured in one of the two.
        if flat_before.get(name) != flat_after.get(name) and not is_of_one:
            yield f"{name} differs: {flat_before.get(name)} and {flat_after.get(name)}"


def format_machine(about: Mapping[str, Any]) -> str:
    """Return `crawlbench 0.1.0 abc1234, 2 x CPU, Linux x86_64` for a describe_environment."""
    known: dict[str, Any] = dict.fromkeys(("crawlbench", "commit", "cpus", "cpu", "system"), "?")
    known.update(about)
    ours = f"crawlbench {known['crawlbench']} {known['commit'] or ''}".strip()
    return f"{ours}, {known['cpus']} x {known['cpu']}, {known['system']}"


def format_versions(runs: Iterable[RunRow]) -> str:
    """Return the versions of Python and all libraries of these runs; by crawler if they differ."""
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
