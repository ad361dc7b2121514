"""What the network is asked for, body by body, and the way back to actions.

A body's action vector has three kinds of numbers. *Changes* (deltas, velocities, latent) are predicted as they are.
*Absolute* ones (joint targets, positions, fingers) are split: where the body is now (the anchor, seen in the present
frame) and how far each step of the chunk is from there (seen in the motion). *Switches* (a gripper that is only ever
open or closed) are classified. B windows, K steps of a chunk, D numbers of an action.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.action_space import dimension_groups, part_groups
from groot.normalise import Normaliser
from storage.embodiment import Embodiment
from storage.errors import SchemaError

Array = NDArray[Any]
_ABSOLUTE = ("position", "joint", "hand", "base", "rotation_6d", "axis_angle", "quaternion_wxyz", "euler_xyz")
_SWITCH_SHARE = 0.995
_LEAST_MOTION = 0.1


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Targets of one batch, normalised: `motion` (B, K, D), `anchor` (B, D), `switch` (B, K, D) in 0..1."""

    motion: Array
    anchor: Array
    switch: Array


def moved_of(states: Array) -> Array:
    """How far states (B, 2, P) changed from the first frame to the second, (B, P)."""
    change: Array = states[:, 1] - states[:, 0]
    return change


@dataclass(frozen=True, kw_only=True)
class EmbodimentTargets:
    """How one body's actions become targets. `absolute`, `switch`, `constant` are (D,) booleans; `low` and `high` (D,)
    are the two values of a switch; `motion` normalises chunks (K, D), `anchor` normalises vectors (D,)."""

    embodiment: Embodiment
    absolute: NDArray[np.bool_]
    switch: NDArray[np.bool_]
    constant: NDArray[np.bool_]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    motion: Normaliser
    anchor: Normaliser
    moved: Normaliser | None = None
    state: Normaliser | None = None

    @property
    def state_size(self) -> int:
        """How many numbers of the state are asked for their change."""
        return len(self.moved.scale) if self.moved else 0

    @property
    def size(self) -> int:
        return self.embodiment.action.size

    @property
    def regressed(self) -> NDArray[np.bool_]:
        """Numbers that the regression or flow head gives."""
        return ~self.switch & ~self.constant

    @property
    def groups(self) -> Mapping[str, tuple[int, ...]]:
        """Dimensions by part: confidences are given for each of these, in this order."""
        return part_groups(self.embodiment.action)

    @property
    def kinds(self) -> Mapping[str, tuple[int, ...]]:
        """Dimensions by kind, for scores."""
        return dimension_groups(self.embodiment.action)

    @classmethod
    def fitted(cls, embodiment: Embodiment, chunks: Array, states: Array | None = None) -> "EmbodimentTargets":
        """From training chunks (N, K, D) of absolute or delta actions, and the states (N, 2, P) at the windows'
        frames where they are known; raises SchemaError for NaN or wrong width."""
        if chunks.ndim != 3 or chunks.shape[-1] != embodiment.action.size:
            raise SchemaError(f"chunks of {embodiment.name!r} are (N, K, {embodiment.action.size}); got {chunks.shape}")
        if not np.isfinite(chunks).all():
            bad = int(np.flatnonzero(~np.isfinite(chunks).all(axis=(1, 2)))[0])
            raise SchemaError(f"training actions of {embodiment.name!r} hold NaN or infinity, first in window {bad}")
        rows = chunks[:, 0].astype(np.float64)
        absolute = _dimensions(embodiment, _ABSOLUTE)
        low, high = rows.min(axis=0), rows.max(axis=0)
        constant = (high - low) < 1e-6
        near_end = (np.abs(rows - low) < 1e-4) | (np.abs(rows - high) < 1e-4)
        switch = _dimensions(embodiment, ("gripper",)) & (near_end.mean(axis=0) > _SWITCH_SHARE) & ~constant
        motion = _motion(chunks.astype(np.float64), absolute)
        return cls(
            embodiment=embodiment,
            absolute=absolute & ~switch,
            switch=switch,
            constant=constant,
            low=low,
            high=high,
            motion=_by_deviation(motion, list(dimension_groups(embodiment.action).values())),
            anchor=Normaliser.fitted(rows, "mean_std"),
            moved=None if states is None else _moved_normaliser(states, embodiment),
            state=None if states is None else Normaliser.fitted(states[:, 0], "mean_std"),
        )

    def of(self, chunks: Array) -> Targets:
        """Targets of chunks (B, K, D)."""
        values = chunks.astype(np.float64)
        span = np.where(self.switch, self.high - self.low, 1.0)
        return Targets(
            motion=self.motion.apply(_motion(values, self.absolute)).astype(np.float32),
            anchor=self.anchor.apply(values[:, 0]).astype(np.float32),
            switch=(((values - self.low) / span > 0.5) & self.switch).astype(np.float32),
        )

    def motion_of(self, motion: Array) -> Array:
        """Predicted motion (..., K, D) in the units of the action; constants filled in. Anchors are not added."""
        values: Array = self.motion.invert(motion.astype(np.float64))
        fixed = self.constant & ~self.absolute
        values[..., fixed] = self.low[fixed]  # in place: of a long clip this is the largest array there is
        return values

    def anchor_of(self, anchor: Array) -> Array:
        """Predicted anchors (..., D) in the units of the action."""
        return np.where(self.constant, self.low, self.anchor.invert(anchor.astype(np.float64)))

    def to_json(self) -> dict[str, Any]:
        names = ("absolute", "switch", "constant", "low", "high")
        return {
            "body": self.embodiment.to_json(),
            **{name: getattr(self, name).tolist() for name in names},
            "motion": self.motion.to_json(),
            "anchor": self.anchor.to_json(),
            "moved": self.moved.to_json() if self.moved else None,
            "state": self.state.to_json() if self.state else None,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "EmbodimentTargets":
        return cls(
            embodiment=Embodiment.from_json(record["body"]),
            absolute=np.asarray(record["absolute"], bool),
            switch=np.asarray(record["switch"], bool),
            constant=np.asarray(record["constant"], bool),
            low=np.asarray(record["low"], np.float64),
            high=np.asarray(record["high"], np.float64),
            motion=Normaliser.from_json(record["motion"]),
            anchor=Normaliser.from_json(record["anchor"]),
            moved=Normaliser.from_json(record["moved"]) if record.get("moved") else None,
            state=Normaliser.from_json(record["state"]) if record.get("state") else None,
        )


def _dimensions(embodiment: Embodiment, quantities: Sequence[str]) -> NDArray[np.bool_]:
    chosen = np.zeros(embodiment.action.size, bool)
    for part, span in embodiment.action:
        chosen[span] = part.quantity in quantities
    return chosen


def _motion(chunks: Array, absolute: NDArray[np.bool_]) -> Array:
    """Absolute numbers relative to the first step of their chunk, the others as they are."""
    return np.where(absolute, chunks - chunks[:, :1], chunks)


def _moved_normaliser(states: Array, embodiment: Embodiment) -> Normaliser:
    """As for motion: zero stays zero, and what hardly moves is not blown up."""
    moved = moved_of(states.astype(np.float64))[:, None]
    scale = _by_deviation(moved, list(dimension_groups(embodiment.state).values())).scale[0]
    return Normaliser(offset=np.zeros(len(scale)), scale=scale)


def _by_deviation(motion: Array, kinds: Sequence[tuple[int, ...]]) -> Normaliser:
    """Zero stays zero, so that no motion looks the same in every dimension; scaled by the deviation over all steps.

    What moves less than a tenth of the liveliest number of its kind is scaled as if it moved that much: an arm that
    rests would otherwise ask the network to learn the noise of its sensors.
    """
    scale = np.sqrt((motion**2).mean(axis=(0, 1)))
    for dimensions in kinds:
        chosen = list(dimensions)
        scale[chosen] = np.maximum(scale[chosen], _LEAST_MOTION * scale[chosen].max())
    scale = np.where(scale < 1e-9, 1.0, scale)
    steps = motion.shape[1]
    return Normaliser(offset=np.zeros((steps, len(scale))), scale=np.tile(scale, (steps, 1)))
