"""Checks of recorded time stamps."""

import numpy as np
from numpy.typing import NDArray

from storage.errors import SchemaError


def check_times(where: str, stamps: NDArray[np.float64]) -> None:
    """Raise SchemaError where `stamps` (T,) in seconds are not finite or go back."""
    if not np.isfinite(stamps).all():
        raise SchemaError(f"{where}: a time stamp is not a number, first at row {int(np.argmin(np.isfinite(stamps)))}")
    back = np.flatnonzero(np.diff(stamps) < 0)
    if len(back):
        row = int(back[0]) + 1
        raise SchemaError(
            f"{where}: time stamps go back at row {row} ({stamps[row - 1]:.6g} s, then {stamps[row]:.6g} s); the "
            "recording "
            "was resumed or joined from several: cut it there into episodes of their own"
        )
