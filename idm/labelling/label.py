"""The stage that labels: actions for episodes that have none, with a confidence, an interval and flags for every step.

Writes `action/predicted` (or another kind), `label/valid/<kind>`, `label/confidence/<kind>` (T, G) by part of the
action, `label/interval/<kind>` (T, D) half widths of 90 % intervals, and `label/flags/<kind>`
(see `idm.labelling.frame_flags`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idm.labelling.aggregate_windows import Combination, Combined, WindowLabels, combine, label_grid, regrid
from idm.labelling.camera_views import ViewFinder
from idm.labelling.clip_windows import clip_windows
from idm.labelling.frame_flags import COVERED, DARK, FROZEN, STRETCHED, UNFAMILIAR, UNSEEN, frozen_frames, masked_shares
from idm.labelling.gain_offset import Adjustment
from idm.labelling.label_config import LabelConfig, model_folder
from idm.labelling.predict_clip import ClipOpinion, Network, Reading, TorchNetwork, clip_opinion, slot_of, to_device
from idm.labelling.saved_model import IdmModel, load_idm
from idm.labelling.uncertainty import Calibration
from storage.episode import Episode
from storage.errors import UnknownNameError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class ClipLabels:
    """Labels of one clip: `action` (T, D) float32 (zero where not valid), `valid` (T,), `confidence` (T, G),
    `interval` (T, D), `flags` (T,) uint8, and the distance (T,) of its features from the familiar."""

    action: Array
    valid: NDArray[np.bool_]
    confidence: Array
    interval: Array
    flags: NDArray[np.uint8]
    distance: Array
    combined: Combined


class LabelActions:
    """The stage `idm_label`."""

    def __init__(self, config: LabelConfig) -> None:
        self.config = config
        self.model = with_cameras(load_idm(model_folder(config.model)), config.cameras)
        if config.head:
            self.model.head_of(config.head)
        device = to_device(config.device)
        self.labeller = Labeller(
            self.model,
            network=torch_network(self.model, device=device, bf16=config.bf16),
            reading=Reading(block=config.block, threads=config.threads),
            freeze_s=config.freeze_s,
            covered_unlabels=config.covered == "unlabel",
        )
        self.adjustment = Adjustment.read(Path(config.adjustment)) if config.adjustment else None

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        return [[self.outcome(episode)] for episode in episodes]

    def outcome(self, episode: Episode) -> Outcome:
        """The episode with its labels, or the reason why it has none."""
        head = self.model.head_of(self.config.head or episode.embodiment)
        missing = self.labeller.finder.missing(episode)
        if missing:
            there = ", ".join(sorted(episode.cameras)) or "none"
            return Dropped(
                episode_id=episode.episode_id,
                reason="missing_camera",
                detail={
                    "views": missing,
                    "cameras": there,
                    "wanted": {v: list(self.model.cameras[v]) for v in missing},
                },
            )
        labels = self.labeller.label(episode, head)
        share = float(labels.valid.mean())
        if share == 0 or share < self.config.least_valid_share:
            shorter = (episode.length - 1) / episode.rate_hz < self.model.config.interval_s - 1e-9
            reason = "shorter_than_a_window" if shorter else "too_little_seen"
            return Dropped(
                episode_id=episode.episode_id,
                reason=reason,
                score=share,
                detail={"masked": masked_shares(labels.flags)},
            )
        return Kept(self._labelled(episode, head, labels))

    def _labelled(self, episode: Episode, head: str, labels: ClipLabels) -> Episode:
        action, interval = labels.action, labels.interval
        if self.adjustment:
            action = np.where(labels.valid[:, None], self.adjustment.apply(action), action)
            interval = interval * np.abs(self.adjustment.gain)
        kind, body = self.config.kind, self.model.targets[head]
        return episode.adding(
            arrays={
                f"action/{kind}": action.astype(np.float32),
                f"label/valid/{kind}": labels.valid,
                f"label/confidence/{kind}": labels.confidence.astype(np.float32),
                f"label/interval/{kind}": interval.astype(np.float32),
                f"label/flags/{kind}": labels.flags,
            },
            provenance={
                "idm" if kind == "predicted" else f"idm_{kind}": {
                    "model": self.model.content_hash,
                    "preset": self.model.config.preset,
                    "head": head,
                    "groups": list(body.groups),
                    "masked": masked_shares(labels.flags),
                    "config": {**asdict(self.config), "model": Path(self.config.model).name, "device": ""},
                }
            },
        )


class Labeller:
    """Labels clips with a network and the calibration of a model."""

    def __init__(
        self,
        model: IdmModel,
        *,
        network: Network | None = None,
        reading: Reading | None = None,
        freeze_s: float = 0.5,
        covered_unlabels: bool = True,
    ) -> None:
        self.model, self.freeze_s, self.covered_unlabels = model, freeze_s, covered_unlabels
        self.network = network or torch_network(model)
        self.reading = reading or Reading()
        self.finder = ViewFinder(model.cameras, model.config.image_px)

    def opinion(self, episode: Episode, head: str) -> ClipOpinion:
        """What the network says of a clip, before anything is combined."""
        windows = clip_windows(episode.timestamps(), frame_offsets_s=self.model.config.frame_offsets_s)
        slot = slot_of(head, self.model.targets)
        return clip_opinion(self.network, episode, windows, finder=self.finder, slot=slot, reading=self.reading)

    def label(self, episode: Episode, head: str) -> ClipLabels:
        """The labels of a clip as `head`."""
        return self.labels_of(episode, head, self.opinion(episode, head), self.model.calibration(head))

    def labels_of(self, episode: Episode, head: str, opinion: ClipOpinion, calibration: Calibration) -> ClipLabels:
        """Labels from an opinion; steps that no visible window covers are not valid."""
        body = self.model.targets[head]
        flags = self._frame_flags(episode, opinion, calibration)
        usable = self._usable(opinion, flags)
        windows = window_labels(self.model, head, opinion, usable, rate_hz=_rate(episode))
        combined = combine(
            windows,
            steps=episode.length,
            absolute=body.absolute,
            switch=body.switch,
            how=fitting(
                calibration.combination,
                windows.scale.shape[1],
                trained_rate=at_trained_rate(self.model, opinion, _rate(episode)),
            ),
        )
        valid = combined.covered & ((flags & (DARK | FROZEN)) == 0)
        flags[~valid] |= UNSEEN
        distance = self._distance(head, episode.length, opinion)
        if calibration.familiar[1] < np.inf:
            flags[distance > calibration.familiar[1]] |= UNFAMILIAR
        groups = list(body.groups.values())
        confidence = calibration.confidence(combined, groups, distance)
        action = np.where(body.switch, np.where(combined.action > 0.5, body.high, body.low), combined.action)
        interval = np.where(body.constant, 0.0, calibration.interval(combined))
        seen = valid[:, None]
        return ClipLabels(
            action=np.where(seen, action, 0.0),
            valid=valid,
            confidence=np.where(seen, confidence, 0.0),
            interval=np.where(seen, interval, 0.0),
            flags=flags,
            distance=distance,
            combined=combined,
        )

    def _frame_flags(self, episode: Episode, opinion: ClipOpinion, calibration: Calibration) -> NDArray[np.uint8]:
        flags = np.zeros(episode.length, np.uint8)
        flags[opinion.dark] |= DARK
        least = max(round(self.freeze_s * episode.rate_hz), 2)
        flags[frozen_frames(opinion.same, least=least)] |= FROZEN
        if len(opinion.windows):
            hidden = opinion.said.hidden > calibration.covered_logit
            flags[opinion.windows.now[hidden]] |= COVERED
            if abs(opinion.windows.stretch - 1) > 0.02:
                flags |= STRETCHED
        return flags

    def _usable(self, opinion: ClipOpinion, flags: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Windows both of whose frames can be seen."""
        bad = (flags & (DARK | FROZEN)) > 0
        usable = ~(bad[opinion.windows.now] | bad[opinion.windows.later])
        if self.covered_unlabels:
            usable &= (flags[opinion.windows.now] & COVERED) == 0
        return usable

    def _distance(self, head: str, steps: int, opinion: ClipOpinion) -> Array:
        """Distance (T,) of each step's window; steps that start none take the nearest one's."""
        familiar = self.model.familiar.get(head)
        if familiar is None or not len(opinion.windows):
            return np.zeros(steps)
        distance = familiar.distance(opinion.said.pooled)
        nearest = np.clip(np.searchsorted(opinion.windows.start, np.arange(steps)), 0, len(distance) - 1)
        return np.asarray(distance[nearest])


def with_cameras(model: IdmModel, cameras: Mapping[str, Sequence[str]]) -> IdmModel:
    """`model` with other cameras for some of its views; raises UnknownNameError for a view that it does not have."""
    for view in cameras:
        if view not in model.cameras:
            raise UnknownNameError.among("view of this model", view, model.cameras)
    return replace(model, cameras={**model.cameras, **{view: tuple(names) for view, names in cameras.items()}})


def torch_network(model: IdmModel, *, device: str = "cpu", bf16: bool = False) -> TorchNetwork:
    """The model's network, ready to label."""
    return TorchNetwork(model.network, device=device, bf16=bf16)


def window_labels(
    model: IdmModel, head: str, opinion: ClipOpinion, usable: NDArray[np.bool_], *, rate_hz: float
) -> WindowLabels:
    """What the `usable` windows say, in the units of the action and on the grid of the clip."""
    body, config, said = model.targets[head], model.config, opinion.said
    step_s = config.chunk_s / config.chunk_steps * opinion.windows.stretch
    grid = label_grid(chunk_steps=config.chunk_steps, step_s=step_s, rate_hz=rate_hz, layout=body.body.action)
    d = body.size
    if not len(opinion.windows):
        reach = config.chunk_steps if grid is None else len(grid.needs)
        empty = np.empty((0, reach, d))
        return WindowLabels(
            start=opinion.windows.start,
            motion=empty[None],
            scale=empty,
            switch=empty,
            anchor=np.empty((0, d)),
            moved=np.empty((0, 0)),
        )
    motion = body.motion_of(said.motion[:, usable, :, :d])
    return WindowLabels(
        start=opinion.windows.start[usable],
        motion=regrid(motion, grid),
        scale=np.abs(regrid(said.scale[usable, :, :d] * body.motion.scale, grid)),
        switch=regrid(said.switch[usable, :, :d], grid),
        anchor=body.anchor_of(said.anchor[usable, :d]),
        moved=np.concatenate([said.moved[usable], said.pose[usable]], axis=1),
    )


def fitting(how: Combination, reach: int, *, trained_rate: bool) -> Combination:
    """A combination for chunks of `reach` steps on the grid of a clip: weights are stretched to it, a filter holds at
    the trained rate only."""
    if trained_rate:
        return how
    at = np.linspace(0, len(how.weights) - 1, reach).round().astype(int)
    return Combination(weights=how.weights[at], drift=how.drift)


def at_trained_rate(model: IdmModel, opinion: ClipOpinion, rate_hz: float) -> bool:
    """Whether the steps of a clip are the steps of the model's chunks."""
    step_s = model.config.chunk_s / model.config.chunk_steps * opinion.windows.stretch
    return abs(step_s * rate_hz - 1) < 1e-3


def _rate(episode: Episode) -> float:
    """Rate of the steps: from the time stamps where they were recorded."""
    stamps = episode.timestamps()
    return 1 / float(np.median(np.diff(stamps))) if len(stamps) > 1 else episode.rate_hz
