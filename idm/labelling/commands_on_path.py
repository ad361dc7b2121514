"""Commands that lead along the path that is seen: labels of single steps, and the pose in every frame, made one.

Small errors of single commands add up when they are played; the pose that a network sees does not drift, but says
nothing of single commands. With a model of the controller both are one problem of least squares over the poses p and
the commands c of a clip (ours; a smoother in the sense of Rauch, Tung and Striebel 1965, solved by Gauss-Newton):

    sum ((p_t - seen_t) / pose_error)^2 + ((c_t - label_t) / command_error)^2
        + ((p_t+1 - p_t - answer(p_t, p_t - p_t-1, c_t, c_t-1)) / answer_error)^2

What is seen may be far off for a while, so its weight falls with its distance (Cauchy). Long clips go block by block.
T steps, P numbers of the pose, D numbers of an action, M commands, N = P + M unknowns a step.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from idm.labelling.controller import Controller, answer_inputs

Array = NDArray[Any]
_ROUNDS, _ROUNDS_OF_SLOPES = 3, 1
_FAR_ERRORS = 2.0
_UNSEEN, _UNLABELLED = 1e-4, 1e-2
_BLOCK_STEPS, _OVERLAP_STEPS = 1024, 64


def commands_on_path(
    controller: Controller, actions: Array, labelled: NDArray[np.bool_], poses: Array, seen: NDArray[np.bool_]
) -> Array:
    """`actions` (T, D) with the commands that lead along `poses` (T, P). Steps that are not `labelled` (T,) or `seen`
    (T,) hardly count; a clip of which too few are is returned as it is."""
    if len(actions) < 4 or labelled.sum() < 2 or seen.sum() < 2:
        return actions
    actions, poses = _filled(actions, labelled), _filled(poses, seen)
    found = actions.copy()
    for begin in range(0, len(actions), _BLOCK_STEPS):
        end = min(begin + _BLOCK_STEPS, len(actions))
        block = slice(max(begin - _OVERLAP_STEPS, 0), end + _OVERLAP_STEPS)
        commands = _solved(controller, actions[block], labelled[block], poses[block], seen[block])
        inner = commands[begin - block.start : end - block.start]
        found[begin:end, controller.commands] = np.clip(inner, controller.least, controller.most)
    return found


def _solved(
    controller: Controller, labels: Array, labelled: NDArray[np.bool_], seen_poses: Array, seen: NDArray[np.bool_]
) -> Array:
    """Commands (T, M) of one block."""
    size, which = len(controller.pose), controller.commands
    sight = np.where(seen, 1.0, _UNSEEN)[:, None] / controller.pose_error**2
    trust = np.where(labelled, 1.0, _UNLABELLED)[:, None] / controller.command_error**2
    poses, actions = seen_poses.copy(), labels.copy()
    for number in range(_ROUNDS):
        inputs = answer_inputs(poses, actions)
        if number < _ROUNDS_OF_SLOPES:
            links = _links(controller, controller.slopes(inputs))
            squares = _squares(links, steps=len(poses))
        error = (np.diff(poses, axis=0)[1:] - controller.answer(inputs)) / controller.answer_error
        off = poses - seen_poses
        near = 1 / (1 + sight * off**2 / _FAR_ERRORS**2) if number else 1.0
        weights = np.concatenate([sight * near, trust], axis=1)
        gradient = weights * np.concatenate([off, (actions - labels)[:, which]], axis=1)
        for place, link in enumerate(links):
            gradient[place : len(poses) - 2 + place] += (error[:, None] @ link)[:, 0]
        step = _banded_step(squares, weights, gradient)
        poses += step[:, :size]
        actions[:, which] += step[:, size:]
    return actions[:, which]


def _links(controller: Controller, slopes: Array) -> tuple[Array, Array, Array]:
    """Derivatives (T - 2, P, N) of the answers' errors by the unknowns of the step before, of the step, and of the one
    after it, from the `slopes` (T - 2, P, Q)."""
    size, which = len(controller.pose), controller.commands
    width = (slopes.shape[2] - 2 * size) // 2
    by_pose, by_moved, by_now, by_before = np.split(slopes, [size, 2 * size, 2 * size + width], axis=2)
    here, unit = np.eye(size), controller.answer_error[:, None]
    before = np.concatenate([by_moved, -by_before[:, :, which]], axis=2)
    now = np.concatenate([-here - by_pose - by_moved, -by_now[:, :, which]], axis=2)
    after = np.zeros_like(now)
    after[:, :, :size] = here
    return before / unit, now / unit, after / unit


def _squares(links: Sequence[Array], *, steps: int) -> Array:
    """The sum of squares around a path (T, N, 3 N): each step's unknowns against their own and the next two steps'."""
    unknowns = links[0].shape[2]
    squares = np.zeros((steps, unknowns, 3 * unknowns))
    for first, link in enumerate(links):
        turned = link.transpose(0, 2, 1)
        for second in range(first, 3):
            columns = slice((second - first) * unknowns, (second - first + 1) * unknowns)
            squares[first : steps - 2 + first, :, columns] += turned @ links[second]
    return squares


def _banded_step(squares: Array, weights: Array, gradient: Array) -> Array:
    """The Gauss-Newton step (T, N) of the squares and of what holds each unknown by itself."""
    steps, unknowns = gradient.shape
    reach = squares.shape[2]
    band = np.zeros((reach, steps * unknowns))
    for row in range(unknowns):
        band[: reach - row, row::unknowns] = squares[:, row, row:].T
    band[0] += weights.reshape(-1)
    step = solveh_banded(band, -gradient.reshape(-1), lower=True, overwrite_ab=True, check_finite=False)
    return np.asarray(step).reshape(steps, unknowns)


def _filled(values: Array, known: NDArray[np.bool_]) -> Array:
    """`values` (T, n) with straight lines where they are not `known` (T,)."""
    at, where = np.arange(len(values)), np.flatnonzero(known)
    return np.stack([np.interp(at, where, column[known]) for column in values.T], axis=1)
