"""The type of the columns that hold the records of a run. Pure."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IntColumns = dict[str, "NDArray[np.int64]"]
"""The columns of a table by name, all of the same length."""
