"""What a body did between two moments: the truth that probes, the auxiliary head and reports compare latents with.

It is read from the state, not from the action, since conventions of actions differ from robot to robot: the change of
positions, joints and grippers, and the rotation in between as axis-angle in the frame the state is given in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groot.action_space import ROTATIONS, matrix_from, matrix_to
from lapa.fitting.clips import LapaClip
from storage.embodiment import Layout, embodiment_named
from storage.errors import UnknownNameError

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Motion:
    """Change over each pair of a clip: `values` (P, A), NaN where unknown; `groups` names spans of the A numbers."""

    values: Array
    groups: dict[str, slice]


def motion_of(clip: LapaClip, steps: NDArray[np.int64], *, parts: Sequence[str] = ()) -> Motion | None:
    """What the body of `clip` did from `steps` to their later steps; None where it has no state.

    `parts` limits it to some parts of the embodiment's state; all by default.
    """
    state = clip.episode.arrays.get("state")
    if state is None:
        return None
    layout = embodiment_named(clip.episode.embodiment).state
    return change_of_state(state[steps], state[clip.later[steps]], layout, parts=parts)


def change_of_state(now: Array, later: Array, layout: Layout, *, parts: Sequence[str] = ()) -> Motion:
    """The change from `now` to `later`, both (P, D), part by part; raises UnknownNameError for unknown parts."""
    known = [part.name for part, _ in layout]
    for name in parts:
        if name not in known:
            raise UnknownNameError.among("part of the state", name, known)
    pieces: list[Array] = []
    groups: dict[str, slice] = {}
    width = 0
    for part, span in layout:
        if parts and part.name not in parts:
            continue
        if part.quantity in ROTATIONS:
            before, after = (matrix_from(vectors[:, span], part.quantity) for vectors in (now, later))
            change = matrix_to(after @ before.swapaxes(-1, -2), "axis_angle").astype(np.float32)
        else:
            change = later[:, span] - now[:, span]
        groups[part.name] = slice(width, width + change.shape[1])
        width += change.shape[1]
        pieces.append(change)
    return Motion(np.concatenate(pieces, axis=1) if pieces else np.zeros((len(now), 0), np.float32), groups)
