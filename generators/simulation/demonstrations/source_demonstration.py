"""A demonstration as the generator works with it: annotated step by step."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Poses = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SourceDemonstration:
    """An annotated demonstration of T steps. Poses are (T, 4, 4) in the world before each step, signals (T + 1,) of
    every state. `ends` maps an arm to the steps at which its subtasks end: a segment is actions[ends[i-1]:ends[i]]."""

    name: str
    length: int
    poses: Mapping[str, Poses]
    targets: Mapping[str, Poses]
    hands: Mapping[str, NDArray[np.float64]]
    objects: Mapping[str, Poses]
    signals: Mapping[str, NDArray[np.bool_]]
    ends: Mapping[str, tuple[int, ...]]

    def start(self, arm: str, subtask: int) -> int:
        """The step at which an arm's subtask begins."""
        return self.ends[arm][subtask - 1] if subtask else 0
