"""The wire format for columns of numbers: one line of JSON, then one whole column after another.

The control port sends ledgers in this format; crawler processes receive their spec and leave their
outcome in it. Standard library only.
"""

import json
import sys
from array import array
from collections.abc import Iterator, Mapping
from typing import IO, Any, Never

_SLICE_ITEMS = 32_768
_HEADER_BYTES = 65_536
"""The most bytes of a header: it may come from anyone's process or server."""

HUGE = 2**62
"""Every number of a column must be smaller, so that twice its value still fits into 64 bits."""

Columns = Mapping[str, "array[int]"]


def pack(header: Mapping[str, Any], columns: Columns) -> Iterator[bytes]:
    """Yield the packed form, in pieces of at most 256 KiB after the first.

    `header` is anything that JSON can hold; `columns` may differ in length. Items appended while
    the pieces are taken are left out.
    """
    snapshot = [(name, column, len(column)) for name, column in columns.items()]
    layout = [(name, column.typecode, length) for name, column, length in snapshot]
    line = {**header, "byteorder": sys.byteorder, "columns": layout}
    yield json.dumps(line).encode("ascii") + b"\n"
    for _, column, length in snapshot:
        for start in range(0, length, _SLICE_ITEMS):
            # We copy, because an array cannot grow while a view of it is held.
            yield column[start : min(start + _SLICE_ITEMS, length)].tobytes()


def read_packed(
    stream: IO[bytes],
    layout: Mapping[str, str],
    most_items: int,
    most_header_bytes: int = _HEADER_BYTES,
) -> tuple[dict[str, Any], dict[str, "array[int]"]]:
    """Read header and columns from a stream, and leave it right after the last column.

    `layout` has the names of the required columns, in their order, with their type codes. No column
    may have more than `most_items` items. No more memory is allocated than bytes have been
    received. Raises ValueError for anything else.
    """
    line = stream.readline(most_header_bytes)
    if not line.endswith(b"\n"):
        raise ValueError("packed columns without a header")
    header = parse_json(line)
    if not isinstance(header, dict):
        raise ValueError("packed columns without a header")
    found, byteorder = header.pop("columns", None), header.pop("byteorder", None)
    if byteorder not in ("little", "big"):
        raise ValueError("packed columns without a byte order")
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
    """Return the lengths of the columns that a header announces, which must be those of `layout`.

    Raises ValueError.
    """
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
    """Raise ValueError if a number of a column is out of its range."""
    if column and (min(column) < least or max(column) > most):
        raise ValueError(f"a number in column {name} is out of range")


def parse_json(text: bytes) -> Any:
    """Parse JSON as json.loads does, from anyone. Raises ValueError for every kind of error."""
    try:
        return json.loads(text.decode(), parse_constant=_refuse)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    except ValueError:
        raise ValueError("it is not JSON") from None


def _refuse(constant: str) -> Never:
    raise ValueError(constant)
