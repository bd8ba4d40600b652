"""What a crawler runs on: the interpreter, its build, and the event loop. Standard library only."""

import sys
from dataclasses import dataclass, fields
from platform import python_implementation, python_version
from sysconfig import get_config_var
from typing import Any, Self

_MOST_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Runtime:
    """The interpreter of a process, and the event loop that was asked for."""

    implementation: str
    """As in `CPython`."""
    version: str
    """As in `3.14.2`."""
    is_free_threaded: bool
    """Whether it is a free-threaded build, which can run without the GIL."""
    has_gil: bool
    """Whether the GIL was on once the crawler was loaded: a module may switch it on."""
    has_jit: bool | None
    """Whether the JIT compiler was on; None for a version that does not say."""
    loop: str = ""
    """The event loop asked for, by its name in crawlers.loops; "" for the crawler's own."""

    @classmethod
    def of_this_process(cls, loop: str = "") -> Self:
        """Return the runtime of this process, once its crawler is loaded."""
        is_gil_enabled = getattr(sys, "_is_gil_enabled", None)  # since 3.13
        jit: Any = getattr(sys, "_jit", None)  # since 3.14
        return cls(
            python_implementation(),
            python_version(),
            bool(get_config_var("Py_GIL_DISABLED")),
            is_gil_enabled is None or bool(is_gil_enabled()),
            None if jit is None else bool(jit.is_enabled()),
            loop,
        )

    @property
    def is_gil_forced(self) -> bool:
        """Whether the GIL was on in a build that can do without it."""
        return self.is_free_threaded and self.has_gil

    @classmethod
    def parse(cls, found: object) -> Self:
        """Return the runtime that JSON from anyone's process describes. Raises ValueError."""
        try:
            runtime = cls(**found) if isinstance(found, dict) else None
        except TypeError:
            runtime = None
        if runtime is None:
            raise ValueError("it does not report its interpreter in the right form")
        runtime.check()
        return runtime

    def check(self) -> None:
        """Raise ValueError for a value that no process can have reported."""
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name in ("implementation", "version", "loop"):
                is_right = (
                    isinstance(value, str)
                    and len(value) <= _MOST_CHARACTERS
                    and (value.isprintable() or not value)
                )
            else:
                is_right = isinstance(value, bool) or (value is None and one.name == "has_jit")
            if not is_right:
                raise ValueError(f"its {one.name} is {repr(value)[:40]}")
