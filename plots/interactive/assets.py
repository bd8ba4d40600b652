"""The files that a page needs to show the figures."""

from pathlib import Path

import bokeh

_HERE = Path(__file__).parent
FILES = {
    "bokeh.js": Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js",
    "interactive.js": _HERE / "interactive.js",
    "interactive.css": _HERE / "interactive.css",
}
"""By the names under which a page loads them, in this order."""
