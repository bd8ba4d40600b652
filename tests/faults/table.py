"""The table of faults: what is injected, what must happen, and the function that does both."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.place import Place

Inject = Callable[[Place], str]
"""Injects the fault and checks what must happen. Returns what happened, in one line; raises
ShortfallError otherwise, and NotHereError where this machine cannot have the fault."""


class NotHereError(Exception):
    """This machine cannot have the fault; the text says what it lacks."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the table."""

    group: str
    name: str
    must: str
    """What must happen, in words."""
    inject: Inject
    is_fast: bool
    """Whether it is part of the tests: it is quick, and no other test injects the like."""
    leaves_nothing: bool = True
    """Whether it is checked that no process and no temporary file is left."""


FAULTS: list[Fault] = []


def fault(
    group: str, name: str, must: str, *, is_fast: bool = False, leaves_nothing: bool = True
) -> Callable[[Inject], Inject]:
    """Enter a function in the table."""

    def enter(inject: Inject) -> Inject:
        FAULTS.append(Fault(group, name, must, inject, is_fast, leaves_nothing))
        return inject

    return enter


def inject(one: Fault, seed: int) -> str:
    """Do it in a place of its own. Returns what happened; raises as `Inject` does."""
    with Place(seed) as place:
        happened = one.inject(place)
        if one.leaves_nothing:
            place.must_leave_nothing()
        return happened
