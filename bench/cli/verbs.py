"""The table of the verbs. Each verb is a module of this package with the verb's name."""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast


class VerbModule(Protocol):
    """The contents of a verb's module."""

    DESCRIPTION: str
    """Description of the verb for its help, in lines of up to 79 characters."""
    EXAMPLES: tuple[tuple[str, str], ...]
    """Command lines without the name of the program, each with its purpose."""

    def add_options(self, parser: ArgumentParser) -> None:
        """Add the verb's options and arguments."""

    def run(self, arguments: Namespace) -> int:
        """Carry out the command, and return the exit code."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb in the table."""

    name: str
    summary: str
    """The verb's line in the list of verbs."""

    def load(self) -> VerbModule:
        """Import the verb's module. Only the verb in use is imported, for a quick start."""
        return cast(VerbModule, import_module(f"bench.cli.{self.name}"))


VERBS = (
    Verb("run", "sweep crawlers over concurrencies: tables and plots"),
    Verb("advise", "find how many requests at a time, and with which crawler"),
    Verb("crawl", "make one crawl and describe it in detail"),
    Verb("report", "print the tables of an experiment again"),
    Verb("plots", "draw the plots and report.html of an experiment again"),
    Verb("ui", "look at results, and measure, in a browser"),
    Verb("compare", "tell whether one crawler, or experiment, beats another"),
    Verb("calibrate", "measure how many ms each crawler adds to known delays"),
    Verb("export", "print runs or requests as CSV or JSON"),
    Verb("site", "crawl a whole site by following its links"),
    Verb("primes", "find primes and save each one to a slow service"),
    Verb("check", "check whether a crawler or spider keeps its contract"),
    Verb("audit", "show what each crawler sends, opens and costs"),
    Verb("scenarios", "list the services that run --scenario has"),
    Verb("list", "list the crawlers, the spiders and their libraries"),
)
