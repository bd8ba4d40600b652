"""The interactive figures of report.html: the same as in the UI, in one file."""

import json
from importlib.util import find_spec
from typing import Any

from bench.results.store import Store
from plots.page import NO_PART, InteractivePart

_WITHOUT_BOKEH = (
    "This page has interactive figures, too, where Bokeh is installed (the extra crawlbench[ui])."
)


def interactive_part(store: Store, analysis: Any) -> InteractivePart:
    """Return the interactive figures of a result that has been analysed. Raises StoreError."""
    if find_spec("bokeh") is None:
        return InteractivePart(why_none=_WITHOUT_BOKEH)
    from plots.interactive.assets import FILES
    from plots.interactive.results import checked

    figures = [json.dumps(one.as_json(), allow_nan=False) for one in checked(store, analysis)]
    if not figures:
        return NO_PART
    texts = {name: path.read_text(encoding="utf-8") for name, path in FILES.items()}
    style = texts.pop("interactive.css")
    return InteractivePart(tuple(texts.values()), style, tuple(figures))
