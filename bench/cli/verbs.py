"""The verbs of the command line, in one table. Each is a module of this package, of its name."""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast


class VerbModule(Protocol):
    """What the module of a verb has."""

    DESCRIPTION: str
    """What the verb does, in lines of up to 79 characters."""
    EXAMPLES: tuple[tuple[str, str], ...]
    """Command lines without the name of the program, each with what it is good for."""

    def add_options(self, parser: ArgumentParser) -> None:
        """Add the verb's options and arguments."""

    def run(self, arguments: Namespace) -> int:
        """Do what was asked for; returns the exit code."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A row of the table."""

    name: str
    summary: str
    """Its line in the list of verbs."""

    def load(self) -> VerbModule:
        """Its module. Only the verb that was asked for is imported, so that help is quick."""
        return cast(VerbModule, import_module(f"bench.cli.{self.name}"))


VERBS = (
    Verb("run", "sweep crawlers over concurrencies: tables and plots"),
    Verb("crawl", "make one crawl and describe it in detail"),
    Verb("report", "print the tables of an experiment again"),
    Verb("plots", "draw the plots and report.html of an experiment again"),
    Verb("compare", "tell whether one crawler, or experiment, beats another"),
    Verb("calibrate", "measure how many ms each crawler adds to known delays"),
    Verb("export", "print runs or requests as CSV or JSON"),
    Verb("primes", "find primes and save each one to a slow service"),
    Verb("check", "check whether a crawler keeps the contract"),
    Verb("audit", "show what each crawler sends, opens and costs"),
    Verb("list", "list the crawlers and their libraries"),
)
