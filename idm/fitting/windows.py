"""Windows for training: which episodes, which frames, and what the network is asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.fit import Batch
from idm.fitting.targets import EmbodimentTargets, moved_of
from idm.network.model import IdmConfig
from storage.embodiment import Embodiment, embodiment_named
from storage.errors import ConfigError
from storage.training_reader.config import WindowConfig
from storage.training_reader.training_data import TrainingData
from storage.training_reader.windows import Windows

_WINDOWS_FOR_TARGETS = 20_000


class Prepare:
    """Windows of `storage` to batches of `IdmLoss`. Plain data only, so that loader processes can have it."""

    def __init__(self, config: IdmConfig, heads: Sequence[str], targets: Mapping[str, EmbodimentTargets]) -> None:
        self.views, self.size, self.state_size = config.views, config.action_size, config.state_size
        self.targets = [targets[head] for head in heads]
        self.slots = [list(targets).index(head) for head in heads]
        # The two frames lie as far apart as the chunk's first and last step: absolute numbers can be played backwards.
        step_s = config.step_s
        self.spans = abs(config.interval_s - (config.chunk_steps - 1) * step_s) < step_s / 2

    def __call__(self, windows: dict[str, Any]) -> Batch:
        mask = windows["action_mask"].any(axis=2)
        chunk = windows["action"]
        count, steps = mask.shape
        batch: dict[str, NDArray[Any]] = {
            "images": np.stack([windows["images"][view] for view in self.views], axis=2),
            "mask": mask,
            "slot": np.zeros(count, np.int64),
            **{name: np.zeros((count, steps, self.size), np.float32) for name in ("motion", "switch")},
            **{name: np.zeros((count, self.size), np.float32) for name in ("anchor", "last_anchor")},
            **{name: np.zeros((count, self.size), bool) for name in ("regressed", "switches", "absolute")},
            "reversible": np.zeros(count, bool),
            "moved": np.zeros((count, self.state_size), np.float32),
            "moved_mask": np.zeros((count, self.state_size), bool),
            "states": np.zeros((count, 2, self.state_size), np.float32),
        }
        for head, head_targets in enumerate(self.targets):
            rows = np.flatnonzero(windows["embodiment"] == head)
            if not len(rows):
                continue
            d = head_targets.size
            targets = head_targets.of(chunk[rows][..., :d])
            batch["motion"][rows, :, :d], batch["switch"][rows, :, :d] = targets.motion, targets.switch
            batch["anchor"][rows, :d] = targets.anchor
            batch["last_anchor"][rows, :d] = head_targets.anchor.apply(chunk[rows, -1, :d])
            batch["regressed"][rows, :d] = head_targets.regressed
            batch["switches"][rows, :d] = head_targets.switch
            batch["absolute"][rows, :d] = head_targets.absolute & ~head_targets.constant
            batch["slot"][rows] = self.slots[head]
            if head_targets.moved and head_targets.state:
                p = head_targets.state_size
                batch["states"][rows, :, :p] = head_targets.state.apply(windows["state"][rows][..., :p])
                batch["moved"][rows, :p] = head_targets.moved.apply(moved_of(windows["state"][rows][..., :p]))
                batch["moved_mask"][rows, :p] = windows["state_mask"][rows].all(axis=1)[:, :p]
            every = bool((head_targets.absolute | head_targets.constant).all()) and self.spans
            batch["reversible"][rows] = every & mask[rows].all(axis=1)
        return batch


def embodiment_targets(data: Sequence[TrainingData], config: WindowConfig) -> dict[str, EmbodimentTargets]:
    """The targets of every body in the training episodes, by head; reads actions only."""
    windows = Windows([each.source(ids) for each in data if (ids := each.episodes()[0])], config)
    numbers = np.arange(len(windows))
    if len(numbers) > _WINDOWS_FOR_TARGETS:
        numbers = np.random.default_rng(0).choice(len(windows), _WINDOWS_FOR_TARGETS, replace=False)
    batch = windows.__getitems__(np.sort(numbers).tolist())
    by_name = {}
    for head, name in enumerate(windows.embodiments):
        rows = (batch["embodiment"] == head) & batch["action_mask"].any(axis=2).all(axis=1)
        if not rows.any():
            raise ConfigError(f"no training window of {name!r} has all of its {config.horizon_steps} steps")
        embodiment = embodiment_named(_embodiment_of(name, data))
        by_name[name] = EmbodimentTargets.fitted(
            embodiment, batch["action"][rows][..., : embodiment.action.size], _states(batch, rows, embodiment)
        )
    return by_name


def _states(batch: Mapping[str, Any], rows: NDArray[np.bool_], embodiment: Embodiment) -> NDArray[Any] | None:
    """States at both frames of the windows, None where they are not all known."""
    size = embodiment.state.size
    if not size or batch["state"].shape[-1] < size or not batch["state_mask"][rows][..., :size].all():
        return None
    states: NDArray[Any] = batch["state"][rows][..., :size]
    return states


def _embodiment_of(head: str, data: Sequence[TrainingData]) -> str:
    """The embodiment behind a head's name."""
    for each in data:
        if each.head == head:
            names = each.embodiments or tuple(each.dataset.embodiments)
            return names[0]
    return head
