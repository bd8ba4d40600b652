"""Lists the URLs that failed in an experiment, unless they follow from the delay model."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.plan.experiment import Experiment
from bench.results.schema import RunRow
from bench.results.store import Store
from crawlers.contract import failure_word

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class FailedUrl:
    """A URL that failed, with one kind of error."""

    url: str
    what: str
    """The kind of error: one of ERROR_WORDS of crawlers.contract, or `status N`."""
    count: int


def failed_urls(store: Store, asked: Experiment, runs: Iterable[RunRow]) -> list[FailedUrl]:
    """Return the URLs that failed in these runs, in the order of their first failure by seq.

    There are none if a delay server was crawled without a list of URLs. Raises StoreError.
    """
    failed: Counter[tuple[str, str]] = Counter()
    for run in runs:
        is_planned = run.unrecorded is not None
        if not asked.urls and (is_planned or not asked.url):
            continue
        fetches = store.fetches(run.number)
        columns = (fetches[name].tolist() for name in ("seq", "status", "error"))
        for seq, status, code in sorted(zip(*columns, strict=True)):
            word = failure_word(code, status, is_planned=is_planned)
            if word:
                failed[asked.url_of(seq), word] += 1
    return [FailedUrl(url, word, count) for (url, word), count in failed.items()]


def print_failed_urls(store: Store, asked: Experiment, runs: Iterable[RunRow]) -> None:
    """Print the URLs that failed on stderr. Raises StoreError."""
    for line in _lines(failed_urls(store, asked, runs)):
        print(line, file=sys.stderr)


def _lines(failed: Sequence[FailedUrl]) -> list[str]:
    """Return lines with the first failed URLs, and with hints for their causes."""
    lines = [
        f"    {one.what}: {one.url}{f' ({one.count} times)' if one.count > 1 else ''}"
        for one in failed[:_SHOWN]
    ]
    if len(failed) > _SHOWN:
        lines.append(f"    and {len(failed) - _SHOWN} more")
    if any(one.what == "connect" and one.url.startswith("https:") for one in failed):
        lines.append(
            "crawlbench: for https, connect means: refused, unknown host, or an untrusted "
            "certificate (--cafile FILE trusts an authority, --insecure accepts any certificate)"
        )
    return lines
