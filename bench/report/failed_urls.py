"""Lists the URLs of a crawl that failed, unless they follow from the delay model."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.plan.crawl import CrawlExperiment
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


def failed_urls(store: Store, asked: CrawlExperiment, run: RunRow) -> list[FailedUrl]:
    """Return the failed URLs, in the order of their first failure by seq.

    There are none if a delay server was crawled without a list of URLs. Raises StoreError.
    """
    is_planned = run.unrecorded is not None
    if not asked.urls and (is_planned or not asked.url):
        return []
    fetches = store.fetches(run.number)
    columns = (fetches[name].tolist() for name in ("seq", "status", "error"))
    failed: Counter[tuple[str, str]] = Counter()
    for seq, status, code in sorted(zip(*columns, strict=True)):
        word = failure_word(code, status, is_planned=is_planned)
        if word:
            is_listed = 0 <= seq < len(asked.urls)
            failed[asked.urls[seq] if is_listed else asked.url, word] += 1
    return [FailedUrl(url, word, count) for (url, word), count in failed.items()]


def failed_lines(failed: Sequence[FailedUrl]) -> list[str]:
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
