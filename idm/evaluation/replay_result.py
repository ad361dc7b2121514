"""What became of labels that were played in a simulator; apart, since a simulator imports no torch."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ReplayResult:
    """`succeeded`: whether the task was done. `path` (T + 1, 3 x arms): end-effector positions in metres.
    `touched`: whether the robot came into contact with anything after a step."""

    succeeded: bool
    path: NDArray[Any]
    touched: bool = False
