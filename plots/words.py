"""Numbers as words, for what is said beside figures. Pure."""

from collections.abc import Callable, Mapping, Sequence

from bench.cells import CellSummary


def rate(cell: CellSummary) -> float:
    """The median of requests/s."""
    return cell.requests_per_s[0]


def rate_at(cell: CellSummary) -> str:
    """`asyncio, 978 requests/s at 100`."""
    per_s = rate(cell)
    shown = f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.1f}"
    return f"{cell.cell.crawler}, {shown} requests/s at {cell.cell.concurrency}"


def from_to(values: Mapping[str, float], shown: Callable[[float], str], start: str) -> str:
    """`START from 1.0 (a) to 2.0 (b).`; "" of nothing."""
    ranked: Sequence[str] = sorted(values, key=lambda name: values[name])
    if not ranked:
        return ""
    least, most = ranked[0], ranked[-1]
    if least == most:
        return f"{start} to {shown(values[most])} ({most})."
    return f"{start} from {shown(values[least])} ({least}) to {shown(values[most])} ({most})."
