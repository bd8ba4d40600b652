"""Draws figures for a browser: `python -P -m plots.interactive`, for as long as stdin is open.

Each line of stdin is a request as JSON, and each line of stdout is an answer.
"""

import sys

from plots.interactive.answers import main
from server.standard_streams import run_program

if __name__ == "__main__":
    sys.exit(run_program("plots.interactive", main))
