"""How numbers are written in sentences and tables, the same everywhere. Pure."""


def format_percent(share: float | None, digits: int = 0) -> str:
    """`95 %` of 0.95; `-` of None."""
    return "-" if share is None else f"{share * 100:.{digits}f} %"


def format_count(count: int, noun: str) -> str:
    """Return `1 request` or `1,200 requests`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def is_or_are(count: int) -> str:
    """Return the verb for so many: `is` for 1, else `are`."""
    return "is" if count == 1 else "are"


def format_rate(per_s: float) -> str:
    """`4,351` or `97.3`, of requests/s."""
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.1f}"


def format_span(seconds: float) -> str:
    """`50 s`, `1 min 20 s`, `12 min` or `2 h 5 min`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 10:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    minutes = round(whole / 60)
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def shorten_middle(text: str, width: int) -> str:
    """At most `width` characters: what is beyond is left out in the middle, for a `…`."""
    if len(text) <= width:
        return text
    kept = max(width, 1) - 1
    tail = kept // 2
    return f"{text[: kept - tail]}…{text[len(text) - tail :]}"
