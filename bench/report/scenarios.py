"""Prints the scenarios as a table."""

from typing import TYPE_CHECKING

from bench.documents import document
from bench.plan.scenarios import SCENARIOS, Scenario
from bench.report.tables import Column, Table, print_table

if TYPE_CHECKING:
    from rich.console import Console


def print_scenario_list(console: "Console") -> None:
    """Print every scenario, with the options that ask for the same."""
    of = Column[Scenario]
    columns = (
        of("scenario", lambda one: one.name),
        of("takes", lambda one: f"{one.duration_s:g}", "s", priority=1),
        of(
            "objective",
            lambda one: f"{one.objective_ms:g}",
            "ms",
            about="objective: an answer that takes longer from its start does not count.",
        ),
        of("what it is", lambda one: one.summary, is_text=True, may_stack=True),
        of("options", _options, is_text=True, may_stack=True),
    )
    caption = f"More in {document('scenarios.md')}"
    print_table(Table("", columns, SCENARIOS, caption), console)


def _options(scenario: Scenario) -> str:
    return " ".join(f"--{name} {text}" for name, text in scenario.options().items())
