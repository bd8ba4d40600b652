"""The shape in which all that was recorded of a run is computed with. Pure."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IntColumns = dict[str, "NDArray[np.int64]"]
"""Columns of a table, by name, all of one length."""
