"""Columns of numbers in transit: one line of JSON, then each column whole, one after another.

The form of a run's ledger on the control port, and of what goes into and comes out of a crawler's
process. Standard library only.
"""

import json
import sys
from array import array
from collections.abc import Iterator, Mapping
from typing import IO, Any

_SLICE_ITEMS = 32_768

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


def read_packed(stream: IO[bytes]) -> tuple[dict[str, Any], dict[str, "array[int]"]]:
    """Header and columns from a stream, which is left right behind the last column.

    Raises ValueError if there is no header, or the columns are cut short.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise ValueError("packed columns without a header")
    header: dict[str, Any] = json.loads(line)
    layout, byteorder = header.pop("columns"), header.pop("byteorder")
    columns: dict[str, array[int]] = {}
    for name, typecode, length in layout:
        column: array[int] = array(typecode)
        size_bytes = length * column.itemsize
        data = stream.read(size_bytes)
        if len(data) != size_bytes:
            raise ValueError(f"packed columns are cut short in column {name}")
        column.frombytes(data)
        if byteorder != sys.byteorder:
            column.byteswap()
        columns[name] = column
    return header, columns
