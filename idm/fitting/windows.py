"""Windows for training: which episodes, which frames, and what the network is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.fit import Batch
from idm.fitting.targets import BodyTargets, moved_of
from idm.network.model import IdmConfig
from storage.datasets.dataset import Dataset
from storage.embodiment import Embodiment, embodiment
from storage.errors import ConfigError
from storage.ids import content_id
from storage.training_reader.config import Source, WindowConfig
from storage.training_reader.windows import Windows

_WINDOWS_FOR_TARGETS = 20_000


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """One data set to learn from. `held_out_share` of its episodes, chosen by their ids, are kept for calibration and
    scores, unless `held_out` names them. `cameras` says, view by view, which cameras may fill it; () means the view's
    own name."""

    dataset: Dataset
    action: str = "action/ground_truth"
    weight: float | None = None
    embodiments: tuple[str, ...] = ()
    held_out_share: float = 0.15
    held_out: frozenset[str] = frozenset()
    head: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.held_out_share < 1:
            raise ConfigError(f"TrainingData.held_out_share must be in 0..1; got {self.held_out_share}")

    def episodes(self) -> tuple[frozenset[str], frozenset[str]]:
        """Ids of the training and of the held-out episodes; the same on every machine."""
        ids = [str(name) for name in self.dataset.index.table["episode_id"].to_pylist()]
        if self.held_out:
            unknown = self.held_out - set(ids)
            if unknown:
                raise ConfigError(f"{self.dataset.name} has no episodes {sorted(unknown)[:3]} to hold out")
            return frozenset(ids) - self.held_out, self.held_out
        ranked = sorted(ids, key=lambda name: content_id("held out", name))
        count = round(len(ids) * self.held_out_share)
        return frozenset(ranked[count:]), frozenset(ranked[:count])

    def source(self, ids: frozenset[str]) -> Source:
        return Source(
            dataset=self.dataset,
            action=self.action,
            weight=self.weight,
            embodiments=self.embodiments,
            episodes=ids,
            head=self.head,
        )


class Prepare:
    """Windows of `storage` to batches of `IdmLoss`. Plain data only, so that loader processes can have it."""

    def __init__(self, config: IdmConfig, heads: Sequence[str], targets: Mapping[str, BodyTargets]) -> None:
        self.views, self.size, self.state_size = config.views, config.action_size, config.state_size
        self.targets = [targets[head] for head in heads]
        self.slots = [list(targets).index(head) for head in heads]
        # The two frames lie as far apart as the chunk's first and last step: absolute numbers can be played backwards.
        step_s = config.chunk_s / config.chunk_steps
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
        for head, body in enumerate(self.targets):
            rows = np.flatnonzero(windows["embodiment"] == head)
            if not len(rows):
                continue
            d = body.size
            targets = body.of(chunk[rows][..., :d])
            batch["motion"][rows, :, :d], batch["switch"][rows, :, :d] = targets.motion, targets.switch
            batch["anchor"][rows, :d] = targets.anchor
            batch["last_anchor"][rows, :d] = body.anchor.apply(chunk[rows, -1, :d])
            batch["regressed"][rows, :d] = body.regressed
            batch["switches"][rows, :d] = body.switch
            batch["absolute"][rows, :d] = body.absolute & ~body.constant
            batch["slot"][rows] = self.slots[head]
            if body.moved and body.state:
                p = body.state_size
                batch["states"][rows, :, :p] = body.state.apply(windows["state"][rows][..., :p])
                batch["moved"][rows, :p] = body.moved.apply(moved_of(windows["state"][rows][..., :p]))
                batch["moved_mask"][rows, :p] = windows["state_mask"][rows].all(axis=1)[:, :p]
            every = bool((body.absolute | body.constant).all()) and self.spans
            batch["reversible"][rows] = every & mask[rows].all(axis=1)
        return batch


def body_targets(data: Sequence[TrainingData], config: WindowConfig) -> dict[str, BodyTargets]:
    """The targets of every body in the training episodes, by head; reads actions only."""
    windows = Windows([each.source(ids) for each in data if (ids := each.episodes()[0])], config)
    numbers = np.arange(len(windows))
    if len(numbers) > _WINDOWS_FOR_TARGETS:
        numbers = np.random.default_rng(0).choice(len(windows), _WINDOWS_FOR_TARGETS, replace=False)
    batch = windows.__getitems__(np.sort(numbers).tolist())
    found = {}
    for head, name in enumerate(windows.embodiments):
        rows = (batch["embodiment"] == head) & batch["action_mask"].any(axis=2).all(axis=1)
        if not rows.any():
            raise ConfigError(f"no training window of {name!r} has all of its {config.horizon_steps} steps")
        body = embodiment(_body_of(name, data))
        found[name] = BodyTargets.fitted(
            body, batch["action"][rows][..., : body.action.size], _states(batch, rows, body)
        )
    return found


def _states(batch: Mapping[str, Any], rows: NDArray[np.bool_], body: Embodiment) -> NDArray[Any] | None:
    """States at both frames of the windows, None where they are not all known."""
    size = body.state.size
    if not size or batch["state"].shape[-1] < size or not batch["state_mask"][rows][..., :size].all():
        return None
    states: NDArray[Any] = batch["state"][rows][..., :size]
    return states


def _body_of(head: str, data: Sequence[TrainingData]) -> str:
    """The embodiment behind a head's name."""
    for each in data:
        if each.head == head:
            names = each.embodiments or tuple(each.dataset.embodiments)
            return names[0]
    return head
