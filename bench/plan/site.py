"""The plan of `crawlbench site`: spiders x concurrency x page size on one generated site. Pure."""

import random
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun, check_counts, seed_of_trial
from bench.plan.sizes import Size
from bench.program import PROGRAM
from bench.wording import format_count
from crawlers.spiders.registry import find_spider
from crawlers.spiders.task import LOOP, PARSES, SiteTask
from server.site.site import SLOW_FACTOR, Site
from server.site.spec import DIFFICULTIES, SiteSpec

SITE = "site"
"""The name of this kind of experiment."""

_MORE_FETCHES = 1_000


@dataclass(frozen=True, slots=True)
class SiteExperiment:
    """The plan: every entrant at every concurrency on the site with every size of pages, in trials.

    An entrant is a spider that parses in one place.
    """

    entrants: tuple[Entrant, ...]
    parses: tuple[str, ...]
    """Where each entrant parses, in the order of entrants."""
    concurrencies: tuple[int, ...]
    sizes: tuple[Size, ...]
    """Sizes of pages; each makes a site of its own."""
    site: str
    """The text of server.site.spec.SiteSpec, whose size is the first of `sizes`."""
    trials: int
    seed: int
    """Of the order of runs; the site has a seed of its own."""
    timeout_s: float
    per_host: int = 0
    """The most fetches of one host at a time; 0 for no limit."""
    host_delay_s: float = 0.0
    """The least time between the starts of two fetches of one host."""
    parsers: int = 1
    """How many threads or processes parse, where a spider parses in these."""
    kind: str = SITE

    @property
    def spec(self) -> SiteSpec:
        """The spec of the site. Raises server.site.spec.SiteError."""
        return SiteSpec.parse(self.site)

    def spec_of(self, size: Size) -> SiteSpec:
        """Return the spec of the site whose pages have this size."""
        return replace(self.spec, size=size.text)

    @property
    def delay(self) -> Delay:
        """The delays of the site."""
        return Delay.parse(self.spec.delay)

    @property
    def crawlers(self) -> tuple[str, ...]:
        """The labels of the entrants."""
        return tuple(entrant.label for entrant in self.entrants)

    def parse_of(self, label: str) -> str:
        """Return where an entrant parses."""
        return self.parses[self.crawlers.index(label)]

    def cells(self, max_concurrency: Mapping[str, int]) -> tuple[Cell, ...]:
        """Return all points up to what each spider can do, and at least one per spider."""
        return tuple(
            Cell(label, at, self.delay, size)
            for label in self.crawlers
            for size in self.sizes
            for at in self._points(max_concurrency[label])
        )

    def _points(self, most: int) -> list[int]:
        return [at for at in self.concurrencies if at <= most] or [most]

    def count(self, max_concurrency: Mapping[str, int]) -> int:
        """Return the number of runs without making them."""
        return self.trials * len(self.cells(max_concurrency))

    def order(self, max_concurrency: Mapping[str, int]) -> tuple[PlannedRun, ...]:
        """Return all runs: each trial visits all cells in a new order, drawn from the seed."""
        entrant_of = {entrant.label: entrant for entrant in self.entrants}
        task_of = {
            (label, size): self._task(label, size) for label in self.crawlers for size in self.sizes
        }
        pages = self.spec.pages
        runs: list[PlannedRun] = []
        for trial in range(1, self.trials + 1):
            seed = seed_of_trial(self.seed, trial)
            cells = list(self.cells(max_concurrency))
            random.Random(seed).shuffle(cells)  # noqa: S311 - not for secrets
            runs += [
                PlannedRun(
                    len(runs) + number,
                    trial,
                    cell,
                    pages,
                    entrant_of[cell.crawler],
                    seed,
                    site=task_of[cell.crawler, cell.size],
                )
                for number, cell in enumerate(cells, 1)
            ]
        return tuple(runs)

    def _task(self, label: str, size: Size) -> SiteTask:
        spec = self.spec_of(size)
        parse = self.parse_of(label)
        return SiteTask(
            site=spec.text,
            max_depth=Site(spec).depth_limit,
            max_fetches=2 * spec.pages + _MORE_FETCHES,
            per_host=self.per_host,
            host_delay_s=self.host_delay_s,
            parse=parse,
            parsers=1 if parse == LOOP else self.parsers,
        )

    def format_plan(self) -> str:
        """Return `1,000 pages of 5000 bytes, 20 links each, delay 20 ms; concurrency 10, 100`."""
        at = ", ".join(map(str, self.concurrencies))
        trials = format_count(self.trials, "trial")
        return "; ".join((self.format_site(), f"concurrency {at}", trials, *self._format_limits()))

    def format_site(self) -> str:
        """Return `1,000 pages of 5000 bytes, 20 links each, delay 20 ms`."""
        spec = self.spec
        sizes = " or ".join(map(str, self.sizes))
        hosts = f" on {spec.hosts} hosts" if spec.hosts > 1 else ""
        pages = format_count(spec.pages, "page")
        return f"{pages} of {sizes}{hosts}, {spec.links} links each, delay {self.delay}"

    def _format_limits(self) -> Iterator[str]:
        if self.per_host:
            yield f"at most {self.per_host} per host at a time"
        if self.host_delay_s:
            yield f"{1000 * self.host_delay_s:g} ms between fetches of a host"
        if self.spec.crawl_delay_s:
            yield f"Crawl-delay {self.spec.crawl_delay_s:g} s"

    def format_difficulties(self) -> str:
        """Return `every difficulty`, their names, or "" for a plain site."""
        names = [name for name, _ in self.spec.difficulties]
        return "every difficulty" if len(names) == len(DIFFICULTIES) else ", ".join(names)

    def command(self) -> str:
        """Return the command that asks for the same experiment."""
        spec = self.spec
        words = [PROGRAM, "site", "--spiders", ",".join(self._spiders())]
        words += ["--pages", str(spec.pages), "--links", str(spec.links)]
        words += ["--size", ",".join(size.text for size in self.sizes)]
        words += ["--delay", spec.delay, "--hosts", str(spec.hosts)]
        if spec.difficulties:
            shares = (f"{name}@{share:g}" for name, share in spec.difficulties)
            words += ["--with", ",".join(shares)]
        words += ["--crawl-delay", f"{spec.crawl_delay_s:g}"] if spec.crawl_delay_s else []
        words += ["--concurrency", ",".join(map(str, self.concurrencies))]
        words += ["--parse", ",".join(dict.fromkeys(self.parses))]
        words += ["--per-host", str(self.per_host)] if self.per_host else []
        words += ["--host-delay", f"{1000 * self.host_delay_s:g}"] if self.host_delay_s else []
        words += ["--trials", str(self.trials), "--seed", str(spec.seed)]
        words += ["--timeout", f"{self.timeout_s:g}"]
        return shlex.join(words)

    def _spiders(self) -> dict[str, None]:
        named = ((find_spider(one.crawler), one) for one in self.entrants)
        return dict.fromkeys(info.name if info else one.crawler for info, one in named)

    def check(self) -> None:
        """Raise ValueError for values of the right types that cannot have been asked for."""
        if self.kind != SITE:
            raise ValueError(f"its kind is {self.kind!r}, not {SITE!r}")
        for name in ("entrants", "concurrencies", "sizes"):
            if not getattr(self, name):
                raise ValueError(f"it asks for no {name}")
        if len(self.parses) != len(self.entrants) or not set(self.parses) <= set(PARSES):
            raise ValueError(f"its spiders parse in {self.parses!r}")
        if len(set(self.crawlers)) < len(self.entrants):
            raise ValueError("two of its spiders have the same label")
        for size in self.sizes:
            size.check()
            self.spec_of(size).check()
        for label in self.crawlers:
            self._task(label, self.sizes[0]).check()
        check_counts(
            {
                "concurrency": min(self.concurrencies),
                "trials": self.trials,
                "timeout": self.timeout_s,
            },
            len(self.entrants) * len(self.sizes) * len(self.concurrencies) * self.trials,
        )


def expected_site_ns(run: PlannedRun, slots: int) -> int:
    """Return roughly how long the ideal client takes for the site of a run on this many slots.

    It is not simulated here: a run needs as long as its slots, its limits per host and the delays
    between fetches of a host allow, and as its longest way from the start takes.
    """
    assert run.site is not None, "not of a site"
    site = Site(SiteSpec.parse(run.site.site))
    spec = site.spec
    mean_ns = run.cell.delay.mean_us * 1000
    if run.site.per_host:
        slots = min(slots, run.site.per_host * spec.hosts)
    between_ns = max(run.site.host_delay_s, spec.crawl_delay_s) * 1e9
    fetches = site.expected_fetches
    slow = (SLOW_FACTOR - 1) * spec.share_percent("slow") / 100 * spec.pages
    way = site.longest_way * max(mean_ns, between_ns)
    work_ns = max(mean_ns * (fetches + slow) / slots, between_ns * fetches / spec.hosts)
    return round(work_ns + way)
