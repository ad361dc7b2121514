"""The stage that labels: actions for episodes that have none, with a confidence, an interval and flags for every step.

Writes `action/predicted` (or another kind), `label/valid/<kind>`, `label/confidence/<kind>` (T, G) by part of the
action, `label/interval/<kind>` (T, D) half widths of 90 % intervals, and `label/flags/<kind>`
(see `storage.labelling.labels`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from groot.device import device_of
from idm.fitting.targets import EmbodimentTargets
from idm.labelling.aggregate_windows import Combined
from idm.labelling.camera_views import ViewFinder
from idm.labelling.clip_windows import clip_windows
from idm.labelling.combined_labels import combined_labels, in_units, rate_of
from idm.labelling.gain_offset import Adjustment
from idm.labelling.label_config import IdmLabelConfig, model_folder
from idm.labelling.predict_clip import ClipPrediction, Network, TorchNetwork, predict_clip, slot_of
from idm.labelling.saved_model import IdmModel, load_idm
from idm.labelling.scene import thumbnails_of
from idm.labelling.uncertainty import Calibration
from storage.episode import Episode
from storage.errors import UnknownNameError
from storage.ids import Randomness
from storage.labelling.labels import FLAGS_DTYPE, DropReason, LabelFlag, flag_shares, step_shares, without_label
from storage.outcomes import Dropped, Kept, Outcome
from storage.pictures.read_ahead import Reading

Array = NDArray[Any]
_MOST_CAMERA_MOTION = 0.02
"""Where more of the held-out windows show a moving camera (one at a wrist), it is no reason for uncertainty."""
_MOST_UNFAMILIAR = 0.4
"""A clip of which more steps than that are unfamiliar is unfamiliar as a whole: a stranger who looks familiar for a
moment stays one."""


@dataclass(frozen=True, kw_only=True)
class ClipLabels:
    """Labels of one clip: `action` and `interval` (T, D), NaN where not valid, `valid` (T,), `confidence` (T, G),
    `flags` (T,) of `LabelFlag`, the distance (T,) of its features from the familiar, and how strange the
    clip looks (T,): above 1 is beyond what held-out clips show."""

    action: Array
    valid: NDArray[np.bool_]
    confidence: Array
    interval: Array
    flags: NDArray[np.uint16]
    distance: Array
    strangeness: Array
    combined: Combined


class LabelActions:
    """The stage `idm_label`."""

    def __init__(self, config: IdmLabelConfig) -> None:
        self.config = config
        self.model = with_cameras(load_idm(model_folder(config.model)), config.cameras)
        if config.head:
            self.model.head_of(config.head)
        device = device_of(config.device)
        self.labeller = Labeller(
            self.model,
            network=torch_network(self.model, device=device, bf16=config.bf16),
            reading=Reading(block=config.block, threads=config.threads),
            freeze_s=config.freeze_s,
            unlabels=_unlabels(config),
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
                reason=DropReason.MISSING_CAMERA,
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
            reason = DropReason.TOO_SHORT if shorter else DropReason.NOTHING_LABELLED
            return Dropped(
                episode_id=episode.episode_id,
                reason=reason,
                score=share,
                detail={"masked": step_shares(labels.flags)},
            )
        return Kept(self._labelled(episode, head, labels))

    def _labelled(self, episode: Episode, head: str, labels: ClipLabels) -> Episode:
        action, interval = labels.action, labels.interval
        if self.adjustment:
            action = np.where(labels.valid[:, None], self.adjustment.apply(action), action)
            interval = interval * np.abs(self.adjustment.gain)
        kind, head_targets = self.config.kind, self.model.targets[head]
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
                    "groups": list(head_targets.groups),
                    "masked": step_shares(labels.flags),
                    "flagged": flag_shares(labels.flags),
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
        unlabels: LabelFlag = LabelFlag.COVERED | LabelFlag.UNFAMILIAR | LabelFlag.CAMERA_MOTION,
    ) -> None:
        self.model, self.freeze_s = model, freeze_s
        self.unlabels = LabelFlag.DARK | LabelFlag.FROZEN | LabelFlag.CUT | LabelFlag.CORRUPT | unlabels
        self.network = network or torch_network(model)
        self.reading = reading or Reading()
        self.finder = ViewFinder(model.cameras, model.config.image_px)

    def predict(self, episode: Episode, head: str) -> ClipPrediction:
        """What the network predicts for a clip, before anything is combined."""
        windows = clip_windows(episode.timestamps(), frame_offsets_s=self.model.config.frame_offsets_s)
        slot = slot_of(head, self.model.targets)
        return predict_clip(self.network, episode, windows, finder=self.finder, slot=slot, reading=self.reading)

    def label(self, episode: Episode, head: str) -> ClipLabels:
        """The labels of a clip as `head`."""
        return self.labels_of(episode, head, self.predict(episode, head), self.model.calibration(head))

    def labels_of(
        self, episode: Episode, head: str, prediction: ClipPrediction, calibration: Calibration
    ) -> ClipLabels:
        """Labels from an prediction; steps that no visible window covers are not valid."""
        head_targets = self.model.targets[head]
        strangeness, distance = self._strangeness(head, episode.length, prediction, calibration)
        flags = self._flags(episode, prediction, calibration, strangeness, head_targets)
        combined = combined_labels(
            self.model,
            head,
            episode,
            prediction,
            calibration.combination,
            usable=self._usable(prediction, flags),
            apart=(flags & FLAGS_DTYPE(LabelFlag.CUT)) > 0,
        )
        # The other reasons spoil windows; a step may still lie in the chunk of a good one.
        spoilt = LabelFlag.DARK | LabelFlag.FROZEN | LabelFlag.CORRUPT | (self.unlabels & LabelFlag.UNFAMILIAR)
        valid = combined.covered & ((flags & FLAGS_DTYPE(spoilt)) == 0)
        flags[~valid] |= FLAGS_DTYPE(LabelFlag.UNLABELLED)
        confidence = calibration.confidence(combined, list(head_targets.groups.values()), strangeness)
        action = in_units(combined.action, head_targets)
        interval = np.where(head_targets.constant, 0.0, calibration.interval(combined))
        return ClipLabels(
            action=without_label(action, valid),
            valid=valid,
            confidence=np.where(valid[:, None], confidence, 0.0),
            interval=without_label(interval, valid),
            flags=flags,
            distance=distance,
            strangeness=strangeness,
            combined=combined,
        )

    def _flags(
        self,
        episode: Episode,
        prediction: ClipPrediction,
        calibration: Calibration,
        strangeness: Array,
        head_targets: EmbodimentTargets,
    ) -> NDArray[np.uint16]:
        """Flags (T,) of the steps, before it is known which of them get a label."""
        flags, windows = np.zeros(episode.length, FLAGS_DTYPE), prediction.windows

        def mark(steps: NDArray[Any], flag: LabelFlag) -> None:
            flags[steps] |= FLAGS_DTYPE(flag)

        least = max(round(self.freeze_s * episode.rate_hz), 2)
        checks = prediction.checks
        mark(np.logical_or.reduce([check.dark for check in checks]), LabelFlag.DARK)
        mark(np.logical_and.reduce([check.frozen(least=least) for check in checks]), LabelFlag.FROZEN)
        mark(strangeness > 1, LabelFlag.UNFAMILIAR)
        if "valid" in episode.arrays:
            mark(~np.asarray(episode.arrays["valid"]), LabelFlag.CORRUPT)
        if len(windows):
            mark(windows.now[prediction.predictions.hidden > calibration.covered_logit], LabelFlag.COVERED)
            steps_a_frame = self.model.config.rate_hz / rate_of(episode)
            jumps = pose_jumps(prediction, head_targets, steps_a_frame=steps_a_frame)
            behind_cut = windows.now[jumps > calibration.jump]
            cuts = [check.across_cut(windows.now, windows.later) for check in checks]
            cuts.append(
                np.searchsorted(behind_cut, windows.later, "right") > np.searchsorted(behind_cut, windows.now, "right")
            )
            mark(windows.now[np.logical_or.reduce(cuts)], LabelFlag.CUT)
            if calibration.camera_moves < _MOST_CAMERA_MOTION:
                mark(windows.now[moving_camera(prediction)], LabelFlag.CAMERA_MOTION)
            if abs(windows.stretch - 1) > 0.02:
                mark(np.arange(len(flags)), LabelFlag.STRETCHED)
        return flags

    def _usable(self, prediction: ClipPrediction, flags: NDArray[np.uint16]) -> NDArray[np.bool_]:
        """Windows both of whose frames can be seen, and that speak of the body."""
        frames = LabelFlag.DARK | LabelFlag.FROZEN | LabelFlag.CORRUPT
        bad = (flags & FLAGS_DTYPE(frames)) > 0
        usable: NDArray[np.bool_] = ~(bad[prediction.windows.now] | bad[prediction.windows.later])
        usable &= (flags[prediction.windows.now] & FLAGS_DTYPE(self.unlabels)) == 0
        return usable

    def _strangeness(
        self, head: str, steps: int, prediction: ClipPrediction, calibration: Calibration
    ) -> tuple[Array, Array]:
        """How strange each step (T,) looks, above 1 beyond what held-out clips show; and the distance (T,) of its
        window's features. Steps that start no window take the nearest one's."""
        strange = np.zeros(steps)
        scene = self.model.scenes.get(head)
        if scene is not None:
            strange = scene.strangeness(thumbnails_of(prediction.checks)[0])
        familiar = self.model.familiar.get(head)
        if familiar is None or not len(prediction.windows):
            return strange, np.zeros(steps)
        distance = familiar.distance(prediction.predictions.pooled)
        nearest = np.clip(np.searchsorted(prediction.windows.start, np.arange(steps)), 0, len(distance) - 1)
        strange = np.maximum(strange, distance[nearest] / calibration.familiar[1])
        return as_a_clip(strange), np.asarray(distance[nearest])


def as_a_clip(strange: Array) -> Array:
    """Strangeness (T,) of the steps of a clip, where so many are unfamiliar that the clip is: then all of them are."""
    if (strange > 1).mean() <= _MOST_UNFAMILIAR:
        return strange
    beyond: Array = np.maximum(strange, np.nextafter(1.0, 2.0))
    return beyond


def pose_jumps(prediction: ClipPrediction, head_targets: EmbodimentTargets, *, steps_a_frame: float = 1.0) -> Array:
    """How far the pose that is seen jumps from the frame before each window's first (N,): the root mean square over the
    state, in units of how far its numbers move within a window. 0 where the frame before begins no window. Frames that
    are more than one trained step apart, `steps_a_frame`, may show as many times the motion."""
    poses, now = prediction.predictions.pose, prediction.windows.now
    if head_targets.state is None or head_targets.moved is None or len(now) < 2:
        return np.zeros(len(now))
    changes = np.diff(poses.astype(float), axis=0) * head_targets.state.scale / head_targets.moved.scale
    jumps: Array = np.concatenate([[0.0], np.sqrt((changes**2).mean(axis=1)) * (np.diff(now) == 1)])
    return jumps / max(steps_a_frame, 1.0)


def moving_camera(prediction: ClipPrediction) -> NDArray[np.bool_]:
    """Windows (N,) in which the camera moves and hardly anything else does, in every view; all of a clip where many
    are: a camera that pans does so while it stops to turn, too."""
    windows = prediction.windows
    moves: NDArray[np.bool_] = np.logical_and.reduce(
        [check.camera_moves(windows.now, windows.later) for check in prediction.checks]
    )
    return moves | (moves.mean() > _MOST_UNFAMILIAR) if len(moves) else moves


def _unlabels(config: IdmLabelConfig) -> LabelFlag:
    """Flags whose steps get no label, beside those of frames that show nothing."""
    chosen = {
        LabelFlag.COVERED: config.covered,
        LabelFlag.UNFAMILIAR: config.unfamiliar,
        LabelFlag.CAMERA_MOTION: config.camera_motion,
    }
    flags = LabelFlag(0)
    for flag, what in chosen.items():
        flags |= flag if what == "unlabel" else LabelFlag(0)
    return flags


def with_cameras(model: IdmModel, cameras: Mapping[str, Sequence[str]]) -> IdmModel:
    """`model` with other cameras for some of its views; raises UnknownNameError for a view that it does not have."""
    for view in cameras:
        if view not in model.cameras:
            raise UnknownNameError.among("view of this model", view, model.cameras)
    return replace(model, cameras={**model.cameras, **{view: tuple(names) for view, names in cameras.items()}})


def torch_network(model: IdmModel, *, device: str | torch.device = "cpu", bf16: bool = False) -> TorchNetwork:
    """The model's network, ready to label."""
    return TorchNetwork(model.network, device=device, bf16=bf16)
