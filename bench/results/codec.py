"""Converts between JSON and frozen classes, for files from untrusted sources. Pure.

msgspec checks the types, and names the field that is wrong. It accepts unknown fields, integers of
any length and text that is not printable: these are checked here. The text itself is parsed by
`json`, because msgspec refuses lone surrogates, which the path of an interpreter may hold.
"""

import json
from reprlib import repr as shortened_repr
from typing import Any, TypeVar

import msgspec

from bench.printable import shortened

_LEAST, _MOST = -(2**63), 2**63 - 1

_Made = TypeVar("_Made")


def encode(value: object) -> str:
    """Return a value of any frozen class as JSON. Raises ValueError for NaN and infinity."""
    return json.dumps(msgspec.to_builtins(value), allow_nan=False)


def decode_object(text: object, name: str) -> dict[str, Any]:
    """Return a JSON object. All its text is printable, and its numbers fit into 64 bits.

    Raises ValueError or TypeError, which names the field, and RecursionError.
    """
    if not isinstance(text, str):
        raise TypeError(f"{name} is not JSON, but of type {type(text).__name__}")
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise TypeError(f"{name} is not a JSON object, but of type {type(parsed).__name__}")
    checked: dict[str, Any] = check_values(parsed, name)
    return checked


def check_values(value: Any, name: str) -> Any:
    """Return plain values with printable text. Raises ValueError for a number beyond 64 bits."""
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, list):
        return [check_values(one, f"{name}[{at}]") for at, one in enumerate(value)]
    if isinstance(value, dict):
        return {
            shortened(key): check_values(one, f"{name}.{shortened(key)}")
            for key, one in value.items()
        }
    # This comparison is also false for NaN.
    if isinstance(value, int | float) and not _LEAST <= value <= _MOST:
        raise ValueError(f"{name} is {shortened_repr(value)}: not a number of 64 bits")
    return value


def to_class(values: Any, kind: type[_Made], name: str) -> _Made:
    """Return plain values as a class. Raises ValueError, which names the field and the cause."""
    try:
        made = msgspec.convert(values, kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        # `Expected `int`, got `str` - at `$.delays[0].low_us``
        cause, _, path = str(error).partition(" - at `$")
        raise ValueError(f"{name}{path.removesuffix('`')}: {cause}") from error
    _refuse_unknown(values, msgspec.to_builtins(made, builtin_types=(bytes,)), name)
    return made


def _refuse_unknown(values: Any, known: Any, name: str) -> None:
    """Raise ValueError for a field that was given and that the class does not have."""
    if isinstance(values, dict):
        for key, value in values.items():
            if key not in known:
                raise ValueError(f"{name}: unknown field {shortened_repr(key)}")
            _refuse_unknown(value, known[key], f"{name}.{key}")
    elif isinstance(values, list):
        for at, (value, one) in enumerate(zip(values, known, strict=True)):
            _refuse_unknown(value, one, f"{name}[{at}]")
