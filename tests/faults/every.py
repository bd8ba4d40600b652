"""All faults: importing a group enters its rows in the table."""

# ruff: noqa: F401 - imported for what they enter
from tests.faults import (
    clients,
    disks,
    environments,
    files,
    foreign,
    kills,
    outcomes,
    signals,
)
from tests.faults.table import FAULTS

__all__ = ["FAULTS"]
