"""What labels are worth, on episodes whose actions are known and that the model has never seen.

Calibration and scores must not share clips: `evaluate` calibrates on most of the held-out episodes and labels the
rest, fold by fold, until each has been labelled.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idm.evaluation.metrics import (
    calibration_curve,
    changes_over,
    coverage,
    event_f1,
    mean_of_moving,
    motion_errors,
    normalised_error,
    r2_where_moving,
    step_f1,
)
from idm.evaluation.replay_result import ReplayResult
from idm.fitting.calibrate import PredictedClip, calibrated, clips_of, without_each_fold
from idm.fitting.targets import EmbodimentTargets
from idm.labelling.gain_offset import fit_adjustment
from idm.labelling.label import ClipLabels, Labeller
from idm.labelling.saved_model import IdmModel
from idm.labelling.uncertainty import MEASURES, auroc, ratio_of_least_sure
from storage.episode import Episode
from storage.errors import ConfigError
from storage.labelling.labels import step_shares
from storage.labelling.scores import r_squared

Array = NDArray[Any]
_FOLDS = 6
Replay = Callable[[Episode, Array], ReplayResult]
"""Plays actions (T, D) from an episode's true initial state. Handed in: this package knows no simulator."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """`change_steps` is the interval over which absolute numbers are compared; `least_rotation` the length of a true
    rotation command from which on a step counts as turning, in the units of the action. `crosswise` calibrates fold
    by fold on the other episodes, for a model whose own calibration comes from these; without it the labels are what
    labelling writes."""

    action: str = "action/ground_truth"
    change_steps: int = 16
    least_rotation: float = 0.05
    crosswise: bool = False
    replays: int = 20
    drift_steps: int = 16


@dataclass(frozen=True, kw_only=True)
class LabelledClip:
    """A held-out clip with its labels, calibrated on other clips."""

    clip: PredictedClip
    labels: ClipLabels

    @property
    def rows(self) -> NDArray[np.bool_]:
        """Steps that can be compared."""
        return self.labels.valid & self.clip.valid


def evaluate(
    model: IdmModel, head: str, episodes: Sequence[Episode], config: EvaluateConfig, *, replay: Replay | None = None
) -> dict[str, Any]:
    """Figures by group, calibration, errors against confidence, gain and offset; replays where `replay` is given."""
    if len(episodes) < 2:
        raise ConfigError(f"evaluating takes at least two held-out episodes; got {len(episodes)}")
    if config.crosswise or head not in model.calibrations:
        labelled = label_crosswise(model, head, episodes, action=config.action)
    else:
        labelled = label_as_it_is(model, head, episodes, action=config.action)
    head_targets = model.targets[head]
    figures: dict[str, Any] = {"episodes": len(episodes), "steps": int(sum(each.rows.sum() for each in labelled))}
    figures |= {"valid_share": float(np.mean(np.concatenate([each.labels.valid for each in labelled])))}
    figures["masked"] = step_shares(np.concatenate([each.labels.flags for each in labelled]))
    figures |= group_scores(labelled, head_targets, config)
    figures |= confidence_scores(labelled, head_targets, change_steps=config.change_steps)
    figures["adjustment"] = adjustment_scores(labelled, head_targets)
    if replay is not None:
        figures |= replay_scores(labelled, head_targets, config, replay)
    return figures


def label_as_it_is(model: IdmModel, head: str, episodes: Sequence[Episode], *, action: str) -> list[LabelledClip]:
    """Labels of clips with the model's own calibration, which must come from other clips."""
    labeller = Labeller(model)
    calibration = model.calibration(head)
    return [
        LabelledClip(clip=clip, labels=labeller.labels_of(clip.episode, head, clip.prediction, calibration))
        for clip in clips_of(labeller, head, episodes, action=action)
    ]


def label_crosswise(model: IdmModel, head: str, episodes: Sequence[Episode], *, action: str) -> list[LabelledClip]:
    """Labels of held-out clips, each calibrated on those of the other folds."""
    labeller = Labeller(model)
    clips = clips_of(labeller, head, episodes, action=action)
    ways = [calibrated(model, head, others) for others in without_each_fold(clips, most=_FOLDS)]
    return [
        LabelledClip(clip=clip, labels=labeller.labels_of(clip.episode, head, clip.prediction, ways[place % len(ways)]))
        for place, clip in enumerate(clips)
    ]


def group_scores(
    labelled: Sequence[LabelledClip], head_targets: EmbodimentTargets, config: EvaluateConfig
) -> dict[str, Any]:
    """R2 and normalised error by kind of number; for absolute numbers also of their change over `change_steps`; for
    switches the F1 of their changes."""
    labels = np.concatenate([each.labels.action[each.rows] for each in labelled])
    truth = np.concatenate([each.clip.truth[each.rows] for each in labelled])
    scores, errors = r_squared(labels, truth), normalised_error(labels, truth)
    by_group: dict[str, Any] = {"r2_by_dimension": scores.tolist()}
    for kind, dimensions in head_targets.kinds.items():
        chosen = list(dimensions)
        by_group[f"r2/{kind}"] = mean_of_moving(scores, chosen)
        by_group[f"normalised_error/{kind}"] = mean_of_moving(errors, chosen)
        if kind == "rotation" and not head_targets.absolute[chosen].any():
            by_group["r2_where_moving/rotation"] = r2_where_moving(
                labels[:, chosen], truth[:, chosen], least=config.least_rotation
            )
    for d in np.flatnonzero(head_targets.switch):
        middle = float(head_targets.low[d] + head_targets.high[d]) / 2
        clips = [(each.labels.action[each.rows, d], each.clip.truth[each.rows, d]) for each in labelled]
        by_group[f"event_f1/{d}"] = event_f1(clips, middle=middle)
        by_group[f"step_f1/{d}"] = step_f1(labels[:, d], truth[:, d], middle=middle)
    if head_targets.absolute.any():
        by_group |= change_scores(labelled, head_targets, config.change_steps)
    return by_group


def change_scores(labelled: Sequence[LabelledClip], head_targets: EmbodimentTargets, steps: int) -> dict[str, Any]:
    """R2 of how far absolute numbers move in `steps` steps."""
    moved, true = [], []
    for each in labelled:
        both = each.rows[steps:] & each.rows[:-steps]
        moved.append(changes_over(each.labels.action, steps)[both])
        true.append(changes_over(each.clip.truth, steps)[both])
    scores = r_squared(np.concatenate(moved), np.concatenate(true))
    by_part: dict[str, Any] = {"change_r2_by_dimension": scores.tolist()}
    for part, dimensions in head_targets.groups.items():
        by_part[f"change_r2/{part}"] = mean_of_moving(scores, dimensions)
    return by_part


def confidence_scores(
    labelled: Sequence[LabelledClip], head_targets: EmbodimentTargets, *, change_steps: int
) -> dict[str, Any]:
    """Coverage of the intervals; error of the least sure steps against the rest, by the confidence of each part, by
    width of the interval ("mixture") and by each measure of uncertainty. Confidence in absolute numbers is about how
    far they move, so it is held against the error of their change over `change_steps`."""
    regressed = np.flatnonzero(head_targets.regressed)
    errors = np.concatenate([(each.labels.action - each.clip.truth)[each.rows] for each in labelled])
    interval = np.concatenate([each.labels.interval[each.rows] for each in labelled])
    inside = coverage(errors, interval)
    unit = np.maximum(errors.std(axis=0), 1e-9)
    size = (np.abs(errors) / unit)[:, regressed].mean(axis=1)
    uncertainty = {"mixture": (interval / unit)[:, regressed].mean(axis=1)}
    for name in MEASURES:
        measure = np.concatenate([getattr(each.labels.combined, name)[each.rows] for each in labelled])
        scale = np.maximum(measure.mean(axis=0), 1e-12)
        uncertainty[name] = (measure / scale)[:, regressed].mean(axis=1)
    uncertainty["distance"] = np.concatenate([each.labels.distance[each.rows] for each in labelled])
    return {
        "coverage": float(inside[regressed].mean()),
        "coverage_by_dimension": inside.tolist(),
        **_ratios_by_confidence(labelled, head_targets, change_steps),
        **{f"least_sure_ratio/{name}": ratio_of_least_sure(size, values) for name, values in uncertainty.items()},
        "curve": calibration_curve(size, uncertainty["mixture"], np.linspace(0.1, 0.95, 18).tolist()),
    }


def _ratios_by_confidence(
    labelled: Sequence[LabelledClip], head_targets: EmbodimentTargets, change_steps: int
) -> dict[str, float]:
    """Error of the fifth with the least confidence over that of the rest, part by part."""
    errors, sure = [], []
    for each in labelled:
        stands = each.labels.action - each.clip.truth
        moves, both = motion_errors(each.labels.action, each.clip.truth, each.rows, steps=change_steps)
        rows = both if head_targets.absolute.any() else each.rows
        errors.append(np.abs(np.where(head_targets.absolute, moves, stands)[rows]))
        sure.append(each.labels.confidence[rows])
    error, confidence = np.concatenate(errors), np.concatenate(sure)
    relative = error / np.maximum(np.sqrt((error**2).mean(axis=0)), 1e-9)
    parts = {
        name: [d for d in dimensions if head_targets.regressed[d]] for name, dimensions in head_targets.groups.items()
    }
    return {
        f"least_sure_ratio/confidence/{name}": ratio_of_least_sure(
            relative[:, dimensions].mean(axis=1), -confidence[:, place]
        )
        for place, (name, dimensions) in enumerate(parts.items())
        if dimensions
    }


def adjustment_scores(labelled: Sequence[LabelledClip], head_targets: EmbodimentTargets) -> dict[str, Any]:
    """Gain and offset fitted on the first clips, and what they do to the error of the rest."""
    few = labelled[: max(len(labelled) // 4, 1)]
    rest = labelled[len(few) :]
    adjustment = fit_adjustment(
        [each.labels.action[each.rows] for each in few],
        [each.clip.truth[each.rows] for each in few],
        switch=head_targets.switch | head_targets.constant,
    )
    labels = np.concatenate([each.labels.action[each.rows] for each in rest])
    truth = np.concatenate([each.clip.truth[each.rows] for each in rest])
    before, after = ((labels - truth) ** 2).mean(axis=0), ((adjustment.apply(labels) - truth) ** 2).mean(axis=0)
    changed = np.where(before > 1e-12, after / np.where(before > 1e-12, before, 1), 1.0)
    return {
        "clips": len(few),
        "gain": adjustment.gain.tolist(),
        "offset": adjustment.offset.tolist(),
        "error_ratio": float(changed[head_targets.regressed].mean()),
    }


def strangeness(model: IdmModel, head: str, episodes: Sequence[Episode]) -> Array:
    """How strange each clip looks to the model: the mean distance of its windows from the familiar."""
    labeller = Labeller(model)
    familiar = model.familiar[head]
    return np.asarray(
        [float(familiar.distance(labeller.predict(episode, head).predictions.pooled).mean()) for episode in episodes]
    )


def shift_scores(
    model: IdmModel, head: str, clean: Sequence[Episode], strange: Mapping[str, Sequence[Episode]]
) -> dict[str, float]:
    """AUROC of telling strange clips from clean ones, by kind of strangeness."""
    usual = strangeness(model, head, clean)
    return {f"auroc/{kind}": auroc(usual, strangeness(model, head, clips)) for kind, clips in strange.items()}


def replay_scores(
    labelled: Sequence[LabelledClip], head_targets: EmbodimentTargets, config: EvaluateConfig, replay: Replay
) -> dict[str, float]:
    """Success when labels are played in the simulator from the true initial state, beside the true actions and
    shuffled labels; and how far the end effector drifts from the true path over `drift_steps` steps, as a share of
    the way gone."""
    random = np.random.default_rng(0)
    wins = {"truth": 0, "labels": 0, "shuffled": 0}
    drifts = []
    count = min(config.replays, len(labelled))
    chosen = [labelled[place] for place in np.linspace(0, len(labelled) - 1, count).round().astype(int)]
    for each in chosen:
        actions = _whole(each, head_targets)
        true = replay(each.clip.episode, each.clip.truth)
        guess = replay(each.clip.episode, actions)
        wins["truth"] += true.succeeded
        wins["labels"] += guess.succeeded
        wins["shuffled"] += replay(each.clip.episode, actions[random.permutation(len(actions))]).succeeded
        drifts.append(path_drift(guess.path, true.path, config.drift_steps))
    return {
        **{f"replay_success/{name}": count / len(chosen) for name, count in wins.items()},
        "replay_ratio": wins["labels"] / max(wins["truth"], 1),
        "drift": float(np.median(drifts)),
    }


def _whole(each: LabelledClip, head_targets: EmbodimentTargets) -> Array:
    """Labels for every step: where there is none, switches and absolute numbers stay and nothing else moves."""
    actions = each.labels.action.copy()
    stays = head_targets.switch | head_targets.absolute
    first = each.clip.truth[0]
    for step in np.flatnonzero(~each.labels.valid):
        actions[step] = np.where(stays, actions[step - 1] if step else first, 0.0)
    return actions


def path_drift(path: Array, true: Array, steps: int) -> float:
    """Distance from the true path (T + 1, 3 x arms) after the first `steps` steps, over the way gone by then."""
    reach = min(steps, len(path) - 1, len(true) - 1)
    way = np.linalg.norm(np.diff(true[: reach + 1], axis=0), axis=1).sum()
    return float(np.linalg.norm(path[reach] - true[reach]) / max(way, 1e-9))
