"""Values that come out of JSON or SQLite: whether they are what the types say. Pure."""

import json
import math
import types
from dataclasses import fields, is_dataclass
from functools import lru_cache
from reprlib import repr as shortened_repr
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

from bench.printable import shortened

_LEAST, _MOST = -(2**63), 2**63 - 1


def check_shape(value: object, hint: Any, name: str) -> None:
    """Raises ValueError, which names the field, for a value that is not of the type `hint`.

    Integers fit into 64 bits, floats are finite and may be written as integers, a bool is neither.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return
        (hint,) = (one for one in arguments if one is not type(None))
        check_shape(value, hint, name)
    elif is_dataclass(hint):
        if type(value) is not hint:
            raise ValueError(f"{name} is {shortened_repr(value)}")
        for field, of_field in _hints(hint).items():
            check_shape(getattr(value, field), of_field, f"{name}: {field}")
    elif origin is tuple:
        _check_all(value, tuple, arguments[0], name)
    elif origin is list:
        _check_all(value, list, arguments[0], name)
    elif origin is dict:
        _check_type(value, dict, name)
        assert isinstance(value, dict)
        _check_all(list(value), list, arguments[0], name)
        _check_all(list(value.values()), list, arguments[1], name)
    elif hint is float:
        if type(value) is not int:
            _check_type(value, float, name)
        assert isinstance(value, int | float)
        if not _LEAST <= value <= _MOST or not math.isfinite(value):
            raise ValueError(f"{name} is {shortened_repr(value)}")
    else:
        _check_type(value, hint, name)
        if type(value) is int and not _LEAST <= value <= _MOST:
            raise ValueError(f"{name} is {shortened_repr(value)}")


def _check_all(values: object, kind: type, hint: Any, name: str) -> None:
    _check_type(values, kind, name)
    assert isinstance(values, tuple | list)
    for value in values:
        check_shape(value, hint, name)


def _check_type(value: object, kind: type, name: str) -> None:
    if type(value) is not kind:
        raise ValueError(f"{name} is {shortened_repr(value)}")


@lru_cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def parsed_object(text: object) -> dict[str, Any]:
    """JSON, with printable text in it. Raises ValueError, TypeError, RecursionError."""
    if not isinstance(text, str):
        raise TypeError(f"a {type(text).__name__} where JSON should be")
    parsed = _with_printable_text(json.loads(text, parse_constant=_refuse, parse_float=_finite))
    if not isinstance(parsed, dict):
        raise TypeError(f"JSON that is no object but a {type(parsed).__name__}")
    return parsed


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"JSON has no {constant}")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _with_printable_text(value: Any) -> Any:
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, list):
        return [_with_printable_text(one) for one in value]
    if isinstance(value, dict):
        return {shortened(name): _with_printable_text(one) for name, one in value.items()}
    return value
