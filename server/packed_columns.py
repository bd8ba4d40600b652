"""Columns of numbers in transit: one line of JSON, then each column whole, one after another.

The form of a run's ledger on the control port, and of what goes into and comes out of a crawler's
process. Standard library only.
"""

import json
import sys
from array import array
from collections.abc import Iterator, Mapping
from typing import IO, Any, Never

_SLICE_ITEMS = 32_768
_HEADER_BYTES = 65_536
"""Of a header from a process or a server that may be anybody's, at the most."""

HUGE = 2**62
"""Less than this any number of a column must be: twice as much is still an integer of 64 bits."""

Columns = Mapping[str, "array[int]"]


def pack(header: Mapping[str, Any], columns: Columns) -> Iterator[bytes]:
    """The packed form, in pieces of at most 256 KiB after the first.

    `header` is anything JSON can hold; `columns` may differ in length. Items appended while the
    pieces are taken are left out.
    """
    snapshot = [(name, column, len(column)) for name, column in columns.items()]
    layout = [(name, column.typecode, length) for name, column, length in snapshot]
    line = {**header, "byteorder": sys.byteorder, "columns": layout}
    yield json.dumps(line).encode("ascii") + b"\n"
    for _, column, length in snapshot:
        for start in range(0, length, _SLICE_ITEMS):
            # A copy: an array cannot grow while a view of it is held.
            yield column[start : min(start + _SLICE_ITEMS, length)].tobytes()


def read_packed(
    stream: IO[bytes],
    layout: Mapping[str, str],
    most_items: int,
    most_header_bytes: int = _HEADER_BYTES,
) -> tuple[dict[str, Any], dict[str, "array[int]"]]:
    """Header and columns from a stream, which is left right behind the last column.

    `layout` has the names of the columns that must come, in their order, and their type codes; none
    may have more than `most_items`. No more memory is taken than bytes have come. Raises ValueError
    for anything else.
    """
    line = stream.readline(most_header_bytes)
    if not line.endswith(b"\n"):
        raise ValueError("packed columns without a header")
    header = parse_json(line)
    if not isinstance(header, dict):
        raise ValueError("packed columns without a header")
    found, byteorder = header.pop("columns", None), header.pop("byteorder", None)
    if byteorder not in ("little", "big"):
        raise ValueError("packed columns in no byte order")
    columns: dict[str, array[int]] = {}
    for (name, typecode), length in zip(
        layout.items(), _lengths(found, layout, most_items), strict=True
    ):
        columns[name] = column = array(typecode)
        for start in range(0, length, _SLICE_ITEMS):
            size_bytes = min(_SLICE_ITEMS, length - start) * column.itemsize
            data = stream.read(size_bytes)
            if len(data) != size_bytes:
                raise ValueError(f"packed columns are cut short in column {name}")
            column.frombytes(data)
        if byteorder != sys.byteorder:
            column.byteswap()
    return header, columns


def _lengths(found: object, layout: Mapping[str, str], most_items: int) -> list[int]:
    """How long the columns are that a header announces, if they are those that must come."""
    are_lists = isinstance(found, list) and all(
        isinstance(one, list) and len(one) == 3 for one in found
    )
    if not are_lists or [(one[0], one[1]) for one in found] != list(layout.items()):  # type: ignore[attr-defined]
        raise ValueError(f"the packed columns are not {', '.join(layout)}")
    lengths: list[int] = [one[2] for one in found]  # type: ignore[attr-defined]
    if not all(type(length) is int and 0 <= length <= most_items for length in lengths):
        raise ValueError(f"a packed column is longer than {most_items} items")
    return lengths


def check_range(name: str, column: "array[int]", least: int, most: int) -> None:
    """Raises ValueError where a number of a column is out of its range."""
    if column and (min(column) < least or max(column) > most):
        raise ValueError(f"a number in column {name} is out of range")


def parse_json(text: bytes) -> Any:
    """As json.loads, for what anybody may have written. Raises ValueError for all that is wrong."""
    try:
        return json.loads(text.decode(), parse_constant=_refuse)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    except ValueError:
        raise ValueError("what is not JSON") from None


def _refuse(constant: str) -> Never:
    raise ValueError(constant)
