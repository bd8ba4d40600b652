"""Each figure is a file of plots/figures and a row of its tables; what does not draw loads no
matplotlib."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from plots import figures

TABLES = (
    *(figures.OF_SWEEP, figures.OF_DELAY, figures.OF_DELAY_OPEN, figures.OF_REQUESTS),
    *(figures.OF_RUN, figures.OF_RUN_CLOSED),
    *(
        figures.OF_PRIMES,
        figures.OF_SAVER,
        figures.OF_ASYNC,
        figures.OF_SCENARIOS,
        figures.OF_ADVICE,
        figures.OF_SITES,
        figures.OF_SITE,
    ),
)


def test_every_file_of_a_figure_is_in_a_table_once() -> None:
    files = {path.stem for path in Path(*figures.__path__).glob("*.py")} - {"__init__"}
    rows = [draw.__module__.rpartition(".")[2] for table in TABLES for draw in table]
    assert sorted([*rows, *figures.ON_REQUEST]) == sorted(files)


def test_figures_that_are_drawn_on_request_have_a_program() -> None:
    assert all(find_spec(f"plots.{name}") is not None for name in figures.ON_REQUEST)


def test_what_does_not_draw_loads_no_matplotlib() -> None:
    modules = "plots.__main__, plots.page, plots.scenes, plots.words, plots.floor"
    program = f"import sys, {modules}; print('matplotlib' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_every_kind_of_experiment_that_has_figures_is_drawn() -> None:
    from bench.kinds import KINDS
    from plots.__main__ import _DRAWN

    assert {kind.name for kind in KINDS if kind.has_figures} <= set(_DRAWN)
