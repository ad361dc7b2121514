"""Fitting what turns predictions into labels with known error: combination, uncertainty, intervals, familiar features.

Everything here uses held-out clips: errors on training clips are too small to calibrate with.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idm.evaluation.metrics import motion_errors
from idm.fitting.fit_controller import recorded, with_errors
from idm.fitting.targets import EmbodimentTargets
from idm.labelling.aggregate_windows import Combination, Combined, WindowLabels
from idm.labelling.combined_labels import at_trained_rate, combined_labels, window_labels
from idm.labelling.controller import Controller
from idm.labelling.label import Labeller, moving_camera, pose_jumps
from idm.labelling.linear_filter import LinearFilter, filter_inputs, fit_filter
from idm.labelling.predict_clip import ClipPrediction
from idm.labelling.saved_model import IdmModel
from idm.labelling.scene import SceneFamiliarity, thumbnails_of
from idm.labelling.uncertainty import MEASURES, Calibration, Familiarity, Uncertainty, conformal_factor
from storage.episode import Episode
from storage.errors import SchemaError

log = logging.getLogger(__name__)
Array = NDArray[Any]
Labels = tuple[Combined, Array, NDArray[np.bool_]]
"""Labels of a clip, the truth (T, D) in their form, and the steps (T,) that can be compared."""
_FILTER_REACH = 6
_FOLDS = 4
_DRIFTS = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 0.3)


@dataclass(frozen=True, kw_only=True)
class PredictedClip:
    """A clip with its true actions (T, D) and what the network predicted for it."""

    episode: Episode
    prediction: ClipPrediction
    truth: Array
    valid: NDArray[np.bool_]


def clips_of(labeller: Labeller, head: str, episodes: Sequence[Episode], *, action: str) -> list[PredictedClip]:
    """Predictions on labelled episodes; raises SchemaError where one lacks `action`."""
    clips = []
    for episode in episodes:
        if action not in episode.arrays:
            raise SchemaError(f"episode {episode.episode_id!r} has no {action} to compare labels with")
        valid = episode.arrays.get("valid", np.ones(episode.length, bool))
        clips.append(
            PredictedClip(
                episode=episode,
                prediction=labeller.predict(episode, head),
                truth=np.asarray(episode.arrays[action], np.float64),
                valid=np.asarray(valid),
            )
        )
    return clips


def familiarity(
    labeller: Labeller, head: str, episodes: Sequence[Episode]
) -> tuple[Familiarity, SceneFamiliarity | None]:
    """What training clips look like to the network, and as pictures."""
    predictions = [labeller.predict(episode, head) for episode in episodes]
    pooled = [each.predictions.pooled for each in predictions if each.predictions.pooled.ndim == 2]
    if not pooled:
        raise SchemaError("no clip is long enough for a window; familiarity cannot be measured")
    thumbnails = [thumbnails_of(each.checks) for each in predictions]
    scene = SceneFamiliarity.fitted(np.concatenate([part for part, _ in thumbnails]), thumbnails[0][1])
    return Familiarity.of(np.concatenate(pooled)), scene


def calibrated(model: IdmModel, head: str, clips: Sequence[PredictedClip]) -> Calibration:
    """The calibration of a head from held-out clips of its body. Errors are those of clips that the combination was
    not fitted on: its own clips fit it a little too well."""
    head_targets = model.targets[head]
    parts = _cross_fitted(model, head, clips)
    labels = [
        (part, _as_labels(clip.truth, head_targets), part.covered & clip.valid)
        for part, clip in zip(parts, clips, strict=True)
    ]
    errors = np.concatenate([(part.action - truth)[rows] for part, truth, rows in labels])
    error = Uncertainty.fitted(errors, _measures([(part, rows) for part, _, rows in labels]))
    motion = motion_uncertainty(labels, head_targets.absolute, steps=model.config.chunk_steps - 1, other=error)
    unit = _unit(clips, head_targets)
    relative = np.concatenate([motion.of(part)[rows] for part, _, rows in labels]) / unit
    typical = [float(np.median(relative[:, list(group)].mean(axis=1))) for group in head_targets.groups.values()]
    return Calibration(
        combination=_combination(model, head, clips),
        error=error,
        motion=motion,
        factor=conformal_factor(errors, np.concatenate([error.of(part)[rows] for part, _, rows in labels])),
        unit=unit,
        typical=np.asarray(typical),
        familiar=_familiar(model, head, clips),
        covered_logit=_covered_logit(clips),
        camera_moves=float(np.mean(np.concatenate([moving_camera(clip.prediction) for clip in clips]))),
        jump=_jump(head_targets, clips),
    )


def without_each_fold(clips: Sequence[PredictedClip], *, most: int) -> list[list[PredictedClip]]:
    """`clips` without one fold after the other, in at most `most` folds; clip n is missing from number n modulo their
    count. A single clip has no others and stays."""
    folds = min(most, len(clips))
    if folds < 2:
        return [list(clips)]
    return [[clip for place, clip in enumerate(clips) if place % folds != fold] for fold in range(folds)]


def _cross_fitted(model: IdmModel, head: str, clips: Sequence[PredictedClip]) -> list[Combined]:
    """What the windows of each clip make together, the way found on the clips of other folds."""
    ways = [_combination(model, head, others) for others in without_each_fold(clips, most=_FOLDS)]
    return [_combined(model, head, clip, ways[place % len(ways)]) for place, clip in enumerate(clips)]


def motion_uncertainty(
    labels: Sequence[Labels], absolute: NDArray[np.bool_], *, steps: int, other: Uncertainty
) -> Uncertainty:
    """Uncertainty about how far `absolute` (D,) numbers move in `steps` steps, and `other` for the rest. Where an
    absolute number stands is a matter of anchors, whose error no measure of motion tells."""
    if not absolute.any():
        return other
    moved = [motion_errors(part.action, truth, rows, steps=steps) for part, truth, rows in labels]
    both = [(part, rows) for (part, _, _), (_, rows) in zip(labels, moved, strict=True)]
    motion = Uncertainty.fitted(np.concatenate([errors[rows] for errors, rows in moved]), _measures(both))
    return Uncertainty(np.where(absolute, motion.mixture, other.mixture), np.where(absolute, motion.floor, other.floor))


def _measures(parts: Sequence[tuple[Combined, NDArray[np.bool_]]]) -> list[Array]:
    return [np.concatenate([getattr(part, name)[rows] for part, rows in parts]) for name in MEASURES]


def _as_labels(truth: Array, head_targets: EmbodimentTargets) -> Array:
    """True actions in the form of combined labels: switches as 0 and 1."""
    span = np.where(head_targets.switch, head_targets.high - head_targets.low, 1.0)
    labels: Array = np.where(head_targets.switch, ((truth - head_targets.low) / span > 0.5).astype(float), truth)
    return labels


def _unit(clips: Sequence[PredictedClip], head_targets: EmbodimentTargets) -> Array:
    """Typical size of each number, for adding up uncertainties of a group: its deviation, 1 for switches."""
    rows = np.concatenate([clip.truth[clip.valid] for clip in clips])
    unit = np.where(head_targets.switch, 1.0, rows.std(axis=0))
    floor = 0.05 * max(float(unit.max()), 1e-9)
    return np.maximum(unit, floor)


def _combined(model: IdmModel, head: str, clip: PredictedClip, how: Combination) -> Combined:
    _check_rate(model, clip)
    return combined_labels(model, head, clip.episode, clip.prediction, how)


def _windows(model: IdmModel, head: str, clip: PredictedClip) -> WindowLabels:
    _check_rate(model, clip)
    everything = np.ones(len(clip.prediction.windows), bool)
    return window_labels(model, head, clip.prediction, everything, rate_hz=clip.episode.rate_hz)


def _check_rate(model: IdmModel, clip: PredictedClip) -> None:
    if not at_trained_rate(model, clip.prediction, clip.episode.rate_hz):
        raise SchemaError(
            f"calibrate on clips at the rate that the model was trained at; {clip.episode.episode_id!r} is at"
            f" {clip.episode.rate_hz} Hz"
        )


def _combination(model: IdmModel, head: str, clips: Sequence[PredictedClip]) -> Combination:
    """Weights by place in the chunk from the errors there; the drift that gives the best paths."""
    head_targets, steps = model.targets[head], model.config.chunk_steps
    squares, count = np.zeros((steps, head_targets.size)), np.zeros((steps, 1))
    for clip in clips:
        predicted = _windows(model, head, clip)
        truth = _as_labels(clip.truth, head_targets)
        prediction = np.where(head_targets.switch, predicted.switch, predicted.motion.mean(axis=0))
        for place in range(steps):
            at = predicted.start + place
            rows = at < clip.episode.length
            true = truth[at[rows]] - np.where(head_targets.absolute, truth[predicted.start[rows]], 0.0)
            error = prediction[rows, place] - true
            if place and head_targets.absolute.any():
                before = prediction[rows, place - 1] - (truth[at[rows] - 1] - truth[predicted.start[rows]])
                error = np.where(head_targets.absolute, error - before, error)
            squares[place] += (error**2).sum(axis=0)
            count[place] += len(error)
    variance = squares / np.maximum(count, 1)
    weights = 1 / np.maximum(variance, 1e-3 * variance.max(axis=0, keepdims=True) + 1e-12)
    if head_targets.absolute.any():  # prediction k of a path's motion is the step from k to k + 1
        weights = np.where(head_targets.absolute, np.roll(weights, -1, axis=0), weights)
    weights = weights / weights.max(axis=0, keepdims=True)
    how = Combination(weights=weights, drift=Combination.plain(steps, head_targets.size).drift)
    filtered = head_targets.regressed & ~head_targets.absolute
    if filtered.any():
        how = replace(how, filter=_filter(model, head, clips, filtered))
    return replace(how, drift=_drift(model, head, clips, how)) if head_targets.absolute.any() else how


def _filter(model: IdmModel, head: str, clips: Sequence[PredictedClip], used: NDArray[np.bool_]) -> LinearFilter:
    inputs = []
    for clip in clips:
        windows = _windows(model, head, clip)
        steps = clip.episode.length
        rows = filter_inputs(
            windows.motion.mean(axis=0), windows.moved, windows.start, at=range(steps), reach=_FILTER_REACH
        )
        seen = clip.valid & (np.arange(steps) <= windows.start.max(initial=-1))
        inputs.append((rows[seen], clip.truth[seen]))
    return fit_filter(inputs, used=used, reach=_FILTER_REACH)


def _drift(model: IdmModel, head: str, clips: Sequence[PredictedClip], how: Combination) -> Array:
    head_targets = model.targets[head]
    errors = []
    for drift in _DRIFTS:
        tried = replace(how, drift=np.full(head_targets.size, drift))
        squares = []
        for clip in clips:
            labels = _combined(model, head, clip, tried)
            rows = labels.covered & clip.valid
            squares.append(((labels.action - clip.truth)[rows] ** 2).mean(axis=0))
        errors.append(np.mean(squares, axis=0))
    best: Array = np.asarray(_DRIFTS)[np.argmin(errors, axis=0)]
    return best


def _familiar(model: IdmModel, head: str, clips: Sequence[PredictedClip]) -> tuple[float, float]:
    known = model.familiar.get(head)
    if known is None:
        return 0.0, float("inf")
    distance = np.concatenate([known.distance(clip.prediction.predictions.pooled) for clip in clips])
    return float(np.median(distance)), float(np.quantile(distance, 0.99))


def _jump(head_targets: EmbodimentTargets, clips: Sequence[PredictedClip]) -> float:
    """No limit for a state that is not seen."""
    if head_targets.state is None:
        return float("inf")
    return float(np.quantile(np.concatenate([pose_jumps(clip.prediction, head_targets) for clip in clips]), 0.999))


def _covered_logit(clips: Sequence[PredictedClip]) -> float:
    """Clean windows stay below it, 99 of 100; never below the network's own even odds."""
    logits = np.concatenate([clip.prediction.predictions.hidden for clip in clips])
    return float(max(np.quantile(logits, 0.99), 0.0))


def with_calibration(
    model: IdmModel,
    held_out: Mapping[str, Sequence[Episode]],
    training: Mapping[str, Sequence[Episode]],
    *,
    action: str,
) -> IdmModel:
    """`model` with familiarity from training clips and calibration from held-out clips, head by head. Its models of
    controllers get their errors from the held-out clips, or are left out."""
    labeller = Labeller(model)
    known = {head: familiarity(labeller, head, episodes) for head, episodes in training.items() if episodes}
    model = replace(model, familiar={**model.familiar, **{head: features for head, (features, _) in known.items()}})
    calibrations, scenes = {}, dict(model.scenes)
    for head, episodes in held_out.items():
        if not episodes:
            log.warning("%s has no held-out episodes: its labels come without calibrated confidence", head)
            model = replace(model, controllers=_without(model.controllers, head))
            continue
        clips = clips_of(labeller, head, episodes, action=action)
        model = replace(model, controllers=_measured_controllers(model, head, clips, action=action))
        calibrations[head] = calibrated(model, head, clips)
        scene = known[head][1] if head in known else None
        if scene is not None:
            held_out_pictures = [thumbnails_of(clip.prediction.checks)[0] for clip in clips]
            scenes[head] = scene.calibrated(np.concatenate(held_out_pictures))
    return replace(model, calibrations={**model.calibrations, **calibrations}, scenes=scenes)


def _measured_controllers(
    model: IdmModel, head: str, clips: Sequence[PredictedClip], *, action: str
) -> Mapping[str, Controller]:
    """The models of controllers, that of `head` with its errors on held-out clips: labels are compared as they are
    without it. It is left out where it explains too little."""
    controller, others = model.controllers.get(head), _without(model.controllers, head)
    state = model.targets[head].state
    if controller is None or state is None:
        return others
    rate_hz = model.config.rate_hz
    pairs = [recorded(clip.episode, controller.pose, action=action, rate_hz=rate_hz) for clip in clips]
    if not any(pairs):
        return others
    labels = _cross_fitted(replace(model, controllers=others), head, clips)
    pose_errors, command_errors = [], []
    for clip, part, pair in zip(clips, labels, pairs, strict=True):
        for poses, actions in pair:
            seen = state.invert(clip.prediction.predictions.pose.astype(float))[:, controller.pose]
            pose_errors.append(seen - poses[clip.prediction.windows.now])
            rows = part.covered & clip.valid
            command_errors.append((part.action - actions)[rows][:, controller.commands])
    measured = with_errors(
        controller,
        [each for pair in pairs for each in pair],
        pose_errors=np.concatenate(pose_errors),
        command_errors=np.concatenate(command_errors),
    )
    return others if measured is None else {**others, head: measured}


def _without(controllers: Mapping[str, Controller], head: str) -> dict[str, Controller]:
    return {name: each for name, each in controllers.items() if name != head}
