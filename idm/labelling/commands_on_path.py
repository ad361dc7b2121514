"""Commands that lead along the path that is seen: labels of single steps, and the pose in every frame, made one.

Small errors of single commands add up when they are played; the pose that a network sees does not drift, but says
nothing of single commands. With a model of the controller both are one problem of least squares over the poses p and
the commands c of a clip (ours; a smoother in the sense of Rauch, Tung and Striebel 1965, solved by Gauss-Newton):

    sum ((p_t - seen_t) / pose_error)^2 + ((c_t - label_t) / command_error)^2
        + ((p_t+1 - p_t - answer(p_t, p_t - p_t-1, c_t, c_t-1)) / answer_error)^2

What is seen may be far off for a while, so its weight falls with its distance (Cauchy). Long clips go block by block.
T steps, P numbers of the pose, D numbers of an action, M commands, N = P + M unknowns a step.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from idm.labelling.controller import Controller, answer_inputs

Array = NDArray[Any]
_ROUNDS = 4
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
        blocks, gradient = _answers(controller, poses, actions)
        off = poses - seen_poses
        near = 1 / (1 + sight * off**2 / _FAR_ERRORS**2) if number else 1.0
        weights = np.concatenate([sight * near, trust], axis=1)
        gradient += weights * np.concatenate([off, (actions - labels)[:, which]], axis=1)
        step = _banded_step(blocks, weights, gradient)
        poses += step[:, :size]
        actions[:, which] += step[:, size:]
    return actions[:, which]


def _answers(controller: Controller, poses: Array, actions: Array) -> tuple[Array, Array]:
    """The squares of the answers' errors around a path: `blocks` (T, N, 3 N), each step's rows against itself and the
    two steps after it, and half the gradient (T, N)."""
    size, which = len(controller.pose), controller.commands
    answer, slopes = controller.answer_and_slopes(answer_inputs(poses, actions))
    by_pose, by_moved, by_now, by_before = np.split(slopes, [size, 2 * size, 2 * size + actions.shape[1]], axis=2)
    here = np.eye(size)
    before = np.concatenate([by_moved, -by_before[:, :, which]], axis=2) / controller.answer_error[:, None]
    now = np.concatenate([-here - by_pose - by_moved, -by_now[:, :, which]], axis=2) / controller.answer_error[:, None]
    after = np.zeros_like(now)
    after[:, :, :size] = here / controller.answer_error[:, None]
    error = ((np.diff(poses, axis=0)[1:] - answer) / controller.answer_error)[:, :, None]
    steps, unknowns = len(poses), now.shape[2]
    blocks, gradient = np.zeros((steps, unknowns, 3 * unknowns)), np.zeros((steps, unknowns))
    parts = (before, now, after)
    for first, rows in enumerate(parts):
        turned, span = rows.transpose(0, 2, 1), slice(first, steps - 2 + first)
        gradient[span] += (turned @ error)[:, :, 0]
        for second in range(first, 3):
            columns = slice((second - first) * unknowns, (second - first + 1) * unknowns)
            blocks[span, :, columns] += turned @ parts[second]
    return blocks, gradient


def _banded_step(blocks: Array, weights: Array, gradient: Array) -> Array:
    """The Gauss-Newton step (T, N)."""
    steps, unknowns = gradient.shape
    reach = blocks.shape[2]
    band = np.zeros((reach, steps * unknowns))
    for row in range(unknowns):
        blocks[:, row, row] += weights[:, row]
        band[: reach - row, row::unknowns] = blocks[:, row, row:].T
    step = solveh_banded(band, -gradient.reshape(-1), lower=True, overwrite_ab=True, check_finite=False)
    return np.asarray(step).reshape(steps, unknowns)


def _filled(values: Array, known: NDArray[np.bool_]) -> Array:
    """`values` (T, n) with straight lines where they are not `known` (T,)."""
    at, where = np.arange(len(values)), np.flatnonzero(known)
    return np.stack([np.interp(at, where, column[known]) for column in values.T], axis=1)
