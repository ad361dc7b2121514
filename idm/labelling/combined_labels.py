"""What the windows of a clip say together: from a network's predictions to one label a step."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idm.fitting.targets import EmbodimentTargets
from idm.labelling.aggregate_windows import Combination, Combined, WindowLabels, combine, label_grid, regrid
from idm.labelling.commands_on_path import commands_on_path
from idm.labelling.predict_clip import ClipPrediction
from idm.labelling.saved_model import IdmModel
from storage.episode import Episode
from storage.labelling.labelled_runs import runs_of

Array = NDArray[Any]


def combined_labels(
    model: IdmModel,
    head: str,
    episode: Episode,
    prediction: ClipPrediction,
    how: Combination,
    *,
    usable: NDArray[np.bool_] | None = None,
    apart: NDArray[np.bool_] | None = None,
) -> Combined:
    """The labels of a clip from its `usable` windows (N,); all of them unless said otherwise. Where a model of the
    controller was fitted, commands are held to the path of the poses; never over steps that are `apart` (T,), as the
    two sides of a cut are. Clips of a rate that goes into the trained one are held to it step by step of the
    controller; at other rates than the trained one no filter holds."""
    head_targets, rate_hz = model.targets[head], rate_of(episode)
    usable = np.ones(len(prediction.windows), bool) if usable is None else usable
    apart = np.zeros(episode.length, bool) if apart is None else apart
    windows = window_labels(model, head, prediction, usable, rate_hz=rate_hz)
    trained_rate = at_trained_rate(model, prediction, rate_hz)
    how = fitting(how, windows.scale.shape[1], trained_rate=trained_rate)
    combined = combine(
        windows, steps=episode.length, absolute=head_targets.absolute, switch=head_targets.switch, how=how
    )
    every = model.config.rate_hz / rate_hz
    if abs(every - round(every)) > 1e-3 or round(every) < 1 or abs(prediction.windows.stretch - 1) > 1e-3:
        return combined
    state = windows.moved[:, head_targets.state_size : 2 * head_targets.state_size]
    del windows  # of a long clip many times what is needed from here on
    return _on_path(model, head, combined, state, prediction.windows.now[usable], apart, every=round(every))


def _on_path(
    model: IdmModel,
    head: str,
    combined: Combined,
    state: Array,
    now: NDArray[np.int64],
    apart: NDArray[np.bool_],
    *,
    every: int,
) -> Combined:
    """`combined` with commands that lead along the poses of the `state` (N, P), normalised, that is seen at the frames
    `now` (N,). A step of the clip is `every` steps of the controller; changes are spread evenly over them at first."""
    controller, head_targets = model.controllers.get(head), model.targets[head]
    if controller is None or head_targets.state is None or not len(now):
        return combined
    steps, which = len(combined.action), controller.commands
    poses, seen = np.zeros((steps * every, len(controller.pose))), np.zeros(steps * every, bool)
    poses[now * every] = head_targets.state.invert(state.astype(float))[:, controller.pose]
    seen[now * every] = True
    action, commands = in_units(combined.action, head_targets), combined.action.copy()
    action[:, which] /= every
    action, labelled = action.repeat(every, axis=0), combined.covered.repeat(every)
    for first, end in runs_of(~apart):
        fine = slice(first * every, end * every)
        held = commands_on_path(controller, action[fine], labelled[fine], poses[fine], seen[fine])
        commands[first:end, which] = held[:, which].reshape(-1, every, len(which)).sum(axis=1)
    return replace(combined, action=commands)


def in_units(combined: Array, head_targets: EmbodimentTargets) -> Array:
    """Combined labels (T, D) with the two values of a switch in the place of its probability."""
    action: Array = np.where(
        head_targets.switch, np.where(combined > 0.5, head_targets.high, head_targets.low), combined
    )
    return action


def window_labels(
    model: IdmModel, head: str, prediction: ClipPrediction, usable: NDArray[np.bool_], *, rate_hz: float
) -> WindowLabels:
    """What the `usable` windows say, in the units of the action and on the grid of the clip."""
    head_targets, config, predicted = model.targets[head], model.config, prediction.predictions
    step_s = config.step_s * prediction.windows.stretch
    grid = label_grid(
        chunk_steps=config.chunk_steps, step_s=step_s, rate_hz=rate_hz, layout=head_targets.embodiment.action
    )
    d = head_targets.size
    if not len(prediction.windows):
        reach = config.chunk_steps if grid is None else len(grid.needs)
        empty = np.empty((0, reach, d))
        return WindowLabels(
            start=prediction.windows.start,
            motion=empty[None],
            scale=empty,
            switch=empty,
            anchor=np.empty((0, d)),
            moved=np.empty((0, 0)),
        )
    motion = head_targets.motion_of(predicted.motion[:, usable, :, :d])
    return WindowLabels(
        start=prediction.windows.start[usable],
        motion=regrid(motion, grid),
        scale=np.abs(regrid(predicted.scale[usable, :, :d] * head_targets.motion.scale, grid)),
        switch=regrid(predicted.switch[usable, :, :d], grid),
        anchor=head_targets.anchor_of(predicted.anchor[usable, :d]),
        moved=np.concatenate([predicted.moved[usable], predicted.pose[usable]], axis=1),
    )


def fitting(how: Combination, reach: int, *, trained_rate: bool) -> Combination:
    """A combination for chunks of `reach` steps on the grid of a clip: weights are stretched to it, a filter holds at
    the trained rate only."""
    if trained_rate:
        return how
    at = np.linspace(0, len(how.weights) - 1, reach).round().astype(int)
    return Combination(weights=how.weights[at], drift=how.drift)


def at_trained_rate(model: IdmModel, prediction: ClipPrediction, rate_hz: float) -> bool:
    """Whether the steps of a clip are the steps of the model's chunks."""
    step_s = model.config.step_s * prediction.windows.stretch
    return abs(step_s * rate_hz - 1) < 1e-3


def rate_of(episode: Episode) -> float:
    """Rate of the steps: from the time stamps where they were recorded."""
    stamps = episode.timestamps()
    return 1 / float(np.median(np.diff(stamps))) if len(stamps) > 1 else episode.rate_hz
