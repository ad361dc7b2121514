"""Fitting how a body answers its commands (see `idm.labelling.controller`) on recorded states and commands."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from idm.fitting.targets import EmbodimentTargets
from idm.labelling.controller import Controller, answer_inputs, moved_pose
from storage.episode import Episode

log = logging.getLogger(__name__)
Array = NDArray[Any]
_UNITS, _BATCH, _LEARNING_RATE, _WEIGHT_DECAY = 128, 512, 4e-3, 1e-4
_LEAST_STEPS = 1000
_LEAST_EXPLAINED = 0.9


def fit_controller(
    head_targets: EmbodimentTargets,
    episodes: Sequence[Episode],
    *,
    action: str,
    rate_hz: float,
    steps: int,
    seed: int = 0,
) -> Controller | None:
    """From the states and actions of training episodes at `rate_hz`, in `steps` steps of Adam. None for a body whose
    commands are no changes of a pose in its state, and where fewer than 1,000 steps were recorded."""
    pose = moved_pose(head_targets.embodiment)
    commands = np.flatnonzero(head_targets.regressed & ~head_targets.absolute)
    if not len(pose) or not len(commands) or head_targets.state is None or not steps:
        return None
    clips = [pair for each in episodes for pair in recorded(each, pose, action=action, rate_hz=rate_hz)]
    if sum(len(poses) for poses, _ in clips) < _LEAST_STEPS:
        return None
    inputs, moved = answers(clips)
    layers = _fitted(inputs, moved, steps=steps, seed=seed)
    given = np.concatenate([actions[:, commands] for _, actions in clips])
    unknown = np.ones(len(pose))
    return Controller(
        pose=pose,
        commands=commands,
        **layers,
        least=given.min(axis=0),
        most=given.max(axis=0),
        pose_error=unknown,
        command_error=np.ones(len(commands)),
        answer_error=unknown,
    )


def with_errors(
    controller: Controller, clips: Sequence[tuple[Array, Array]], *, pose_errors: Array, command_errors: Array
) -> Controller | None:
    """`controller` with its errors: of its answers on `clips` (poses, actions) that it was not fitted on, of poses
    (n, P) and commands (n, M) there. None where it explains too little of how far the poses move."""
    inputs, moved = answers(clips)
    error = controller.answer(inputs) - moved
    explained = 1 - (error**2).sum(axis=0) / np.maximum(((moved - moved.mean(axis=0)) ** 2).sum(axis=0), 1e-12)
    log.info("the model of the controller explains %.3f of how far the pose moves in a step", explained.mean())
    if not explained.mean() >= _LEAST_EXPLAINED:
        return None
    return replace(
        controller,
        pose_error=_size(pose_errors),
        command_error=_size(command_errors),
        answer_error=_size(error),
    )


def recorded(episode: Episode, pose: NDArray[np.int64], *, action: str, rate_hz: float) -> list[tuple[Array, Array]]:
    """The poses (T, P) and actions (T, D) of an episode; nothing where it is too short, at another rate, or parts of
    it are not valid."""
    whole = bool(np.all(episode.arrays.get("valid", True)))
    if not whole or "state" not in episode.arrays or episode.length < 3 or abs(episode.rate_hz / rate_hz - 1) > 1e-3:
        return []
    poses = np.asarray(episode.arrays["state"], float)[:, pose]
    return [(poses, np.asarray(episode.arrays[action], float))]


def answers(clips: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """What a controller answers from (n, Q), and the answers (n, P)."""
    inputs = np.concatenate([answer_inputs(poses, actions) for poses, actions in clips])
    return inputs, np.concatenate([np.diff(poses, axis=0)[1:] for poses, _ in clips])


def _fitted(inputs: Array, moved: Array, *, steps: int, seed: int) -> dict[str, Array]:
    """The layers, in the units of `inputs` (n, Q) and `moved` (n, P)."""
    offset, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    middle, spread = moved.mean(axis=0), moved.std(axis=0) + 1e-9
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hidden = nn.Linear(_UNITS, _UNITS)
        layers = nn.Sequential(
            nn.Linear(inputs.shape[1], _UNITS), nn.SiLU(), hidden, nn.SiLU(), nn.Linear(_UNITS, moved.shape[1])
        )
    x = torch.from_numpy(((inputs - offset) / scale).astype(np.float32))
    y = torch.from_numpy(((moved - middle) / spread).astype(np.float32))
    optimizer = torch.optim.AdamW(layers.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(len(x), (_BATCH,), generator=draw)
        loss = ((layers(x[chosen]) - y[chosen]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    w1, b1, w2, b2, w3, b3 = (each.detach().double().numpy() for each in layers.parameters())
    first = w1 / scale
    return {
        "weights_1": first,
        "bias_1": b1 - first @ offset,
        "weights_2": w2,
        "bias_2": b2,
        "weights_3": w3 * spread[:, None],
        "bias_3": b3 * spread + middle,
    }


def _size(errors: Array) -> Array:
    size: Array = np.maximum(np.sqrt((errors**2).mean(axis=0)), 1e-9)
    return size
