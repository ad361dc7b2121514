"""The one record that flows through everything: an episode. A stage adds to it and never rewrites it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from storage.embodiment import embodiment_named
from storage.errors import SchemaError, UnknownNameError
from storage.fields import field_of
from storage.frames import Frames

Layer = Literal["real", "simulation", "neural", "human"]
"""The layer of the pyramid that an episode comes from."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One trajectory or clip of `length` steps at `rate_hz`.

    `arrays` maps a field name (see `storage.fields`) to its per-step array: "state" (T, D), "action/ground_truth"
    (T, D), "valid" (T,), ... `cameras` maps a camera name to its encoded frames, one a step.
    `provenance` says who made it from what, with which config, seed and versions; JSON values only.
    Raises SchemaError when an array has the wrong length, width or dtype, or holds NaN in state or action.
    """

    episode_id: str
    layer: Layer
    embodiment: str
    length: int
    rate_hz: float
    instruction: str = ""
    original_instruction: str = ""
    parent_id: str = ""
    cameras: Mapping[str, Frames] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    verdicts: tuple[Mapping[str, Any], ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.layer not in get_args(Layer):
            raise UnknownNameError.among("layer", self.layer, get_args(Layer))
        if self.length < 1 or not self.rate_hz > 0:
            raise self._wrong(f"needs at least one step and a positive rate; got {self.length} at {self.rate_hz} Hz")
        for camera, frames in self.cameras.items():
            field_of(f"video/{camera}")
            if len(frames) != self.length:
                raise self._wrong(f"camera {camera!r} has {len(frames)} frames for {self.length} steps")
        for name, array in self.arrays.items():
            self._check_array(name, array)

    def _check_array(self, name: str, array: NDArray[Any]) -> None:
        row = field_of(name)
        # Flags used to be narrower; shards convert them (see `current_flags`), foreign files keep them.
        older = name.startswith("label/flags/") and array.dtype == np.uint8
        if array.dtype != row.dtype and not older:
            raise self._wrong(f"{name} must be {row.dtype}; got {array.dtype}")
        if array.ndim != row.shape.count(",") + (not row.shape.endswith(",)")) or len(array) != self.length:
            raise self._wrong(f"{name} must have shape {row.shape} with F = {self.length}; got {array.shape}")
        if name == "state" or name.startswith("action/"):
            self._check_vector(name, array)

    def _check_vector(self, name: str, array: NDArray[Any]) -> None:
        embodiment = embodiment_named(self.embodiment)
        expected = {
            "state": embodiment.state.size,
            "action/ground_truth": embodiment.action.size,
            "action/predicted": embodiment.action.size,
        }
        width = expected.get(name, 0)
        if width and array.shape[1] != width:
            raise self._wrong(f"{name} of {self.embodiment!r} has {width} numbers; got {array.shape[1]}")
        finite = np.isfinite(array)
        if finite.all():
            return
        broken = ~finite.all(axis=1) & self._labelled(name)
        if broken.any():
            step = int(np.flatnonzero(broken)[0])
            raise self._wrong(f"{name} holds NaN or infinity, first at step {step}; mend or drop the episode")

    def _labelled(self, name: str) -> NDArray[np.bool_]:
        """Steps (T,) whose vector `name` must be finite: all but those that a labeller gave no label."""
        if name == "action/latent":
            return np.zeros(self.length, bool)
        valid = self.arrays.get(f"label/valid/{name.removeprefix('action/')}")
        return np.ones(self.length, bool) if valid is None else valid

    def _wrong(self, text: str) -> SchemaError:
        return SchemaError(f"episode {self.episode_id!r}: {text}")

    @property
    def duration_s(self) -> float:
        return self.length / self.rate_hz

    @property
    def fields(self) -> frozenset[str]:
        """Names of everything that this episode holds."""
        return frozenset(self.arrays) | {f"video/{camera}" for camera in self.cameras} | {"instruction", "provenance"}

    def timestamps(self) -> NDArray[np.float64]:
        """Seconds since the episode began, (T,): as recorded, or step / rate."""
        recorded = self.arrays.get("timestamp")
        return np.arange(self.length) / self.rate_hz if recorded is None else recorded

    def adding(
        self,
        *,
        arrays: Mapping[str, NDArray[Any]] | None = None,
        cameras: Mapping[str, Frames] | None = None,
        verdicts: tuple[Mapping[str, Any], ...] = (),
        provenance: Mapping[str, Any] | None = None,
    ) -> "Episode":
        """This episode with more in it. Adding what is there already raises SchemaError."""
        arrays, cameras, provenance = arrays or {}, cameras or {}, provenance or {}
        twice = (arrays.keys() & self.arrays.keys()) | (cameras.keys() & self.cameras.keys())
        if twice := twice | (provenance.keys() & self.provenance.keys()):
            raise self._wrong(f"holds {sorted(twice)} already; a stage adds, it never rewrites")
        return replace(
            self,
            arrays={**self.arrays, **arrays},
            cameras={**self.cameras, **cameras},
            verdicts=self.verdicts + verdicts,
            provenance={**self.provenance, **provenance},
        )
