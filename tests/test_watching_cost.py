"""scripts/watching_cost: what it computes, and that it measures at all."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "watching_cost.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("watching_cost", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_views_are_compared_round_by_round(script: ModuleType) -> None:
    rates, cpu = script.METRICS[0], script.METRICS[-1]
    base = [100.0, 200, 400, 800, 1600, 3200]
    slower = [value * 0.9 for value in base]
    assert script.format_row(rates, "live", base) == "  live         600  (100-3,200)"
    assert script.format_change(rates, slower, base) == "; 0.900 x (0.900 to 0.900)"
    assert script.format_change(cpu, [value + 0.25 for value in base], base) == (
        "; +0.250 (+0.250 to +0.250)"
    )
    few = script.format_change(rates, slower[:5], base[:5])
    assert few == "; 0.900 x (no interval for fewer than 6 rounds)"


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="CPU times are read from /proc")
def test_each_view_is_measured() -> None:
    options = ["--views", "none,live", "--rounds", "1", "-n", "1000", "--delay", "20"]
    command = [sys.executable, "-P", str(SCRIPT), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("  live ") == 5
    refused = subprocess.run(
        [*command, "--views", "none,loud"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "'loud' is no view: use live, line, json, none" in refused.stderr
