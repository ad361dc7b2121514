"""Which source demonstration a subtask takes its segment from (MimicGen, section 4.2 and appendix)."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from generators.simulation.demonstrations.source_demonstration import SourceDemonstration
from generators.simulation.mimicgen.transform import carried
from generators.simulation.robots.rotations import distance
from generators.simulation.task.specification import Pose, SelectionStrategy, Subtask

Strategy = Callable[["Choice"], list[float] | None]


class Choice:
    """The situation in which a source is chosen: the subtask of an arm, the demonstrations, and what is where now."""

    def __init__(self, arm: str, index: int, subtask: Subtask, sources: Sequence[SourceDemonstration]) -> None:
        self.arm, self.index, self.subtask, self.sources = arm, index, subtask, sources
        self.object_now: Pose | None = None
        self.hand_now: Pose | None = None

    def starts(self) -> list[int]:
        return [source.start(self.arm, self.index) for source in self.sources]


def _random(choice: Choice) -> list[float] | None:
    return None


def _nearest_object(choice: Choice) -> list[float] | None:
    """Distance of the reference object from where it was at the start of each segment."""
    reference, now = choice.subtask.reference, choice.object_now
    if reference is None or now is None:
        return None
    poses = [source.objects[reference][start] for source, start in zip(choice.sources, choice.starts(), strict=True)]
    return [_apart(now, pose, choice.subtask) for pose in poses]


def _nearest_robot(choice: Choice) -> list[float] | None:
    """Distance of the end effector from where each transformed segment would begin."""
    hand = choice.hand_now
    if hand is None:
        return None
    costs = []
    for source, start in zip(choice.sources, choice.starts(), strict=True):
        first = source.poses[choice.arm][start]
        if choice.subtask.reference is not None and choice.object_now is not None:
            first = carried(first, source.objects[choice.subtask.reference][start], choice.object_now)
        costs.append(_apart(hand, first, choice.subtask))
    return costs


def _apart(here: Pose, there: Pose, subtask: Subtask) -> float:
    metres, radians = distance(here, there)
    return metres + subtask.rotation_weight_m_per_rad * radians


STRATEGIES: Mapping[SelectionStrategy, Strategy] = {
    "random": _random,
    "nearest_object": _nearest_object,
    "nearest_robot": _nearest_robot,
}


def select(choice: Choice, randomness: np.random.Generator, *, avoid: frozenset[int] = frozenset()) -> int:
    """The number of a source: any for `random`, otherwise one of the subtask's `nearest_k`.

    Sources in `avoid` (tried in vain) are passed over while others are left.
    """
    costs = STRATEGIES[choice.subtask.selection](choice)
    open_ones = [index for index in range(len(choice.sources)) if index not in avoid] or list(
        range(len(choice.sources))
    )
    if costs is not None:
        open_ones = sorted(open_ones, key=lambda index: costs[index])[: choice.subtask.nearest_k]
    return int(open_ones[randomness.integers(len(open_ones))])
