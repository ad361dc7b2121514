import json

import numpy as np
import pytest

from generators.simulation.stepping import snapshot
from generators.simulation.stepping.scene import Scene
from generators.simulation.stepping.snapshot import ModelState, state_row
from generators.simulation.task.registry import find_task
from storage.errors import SchemaError


def actions(scene: Scene, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (count, scene.environment.action_dim)).astype(np.float32)


def run(scene: Scene, steps: np.ndarray) -> np.ndarray:
    rows = []
    for action in steps:
        scene.step(action)
        rows.append(state_row(scene.environment))
    return np.stack(rows)


def test_going_on_from_a_snapshot_is_exact_in_the_middle_of_contact(stack_scene):
    stack_scene.reset(1)
    run(stack_scene, actions(stack_scene, 30))
    moment = stack_scene.snapshot()
    first = run(stack_scene, actions(stack_scene, 30, seed=1))
    stack_scene.reset(2)
    stack_scene.restore(moment)
    np.testing.assert_array_equal(run(stack_scene, actions(stack_scene, 30, seed=1)), first)


def test_a_snapshot_survives_json_and_another_process_of_the_same_task(stack_scene):
    stack_scene.reset(1)
    run(stack_scene, actions(stack_scene, 10))
    moment = stack_scene.snapshot()
    row = state_row(stack_scene.environment)
    record = json.loads(json.dumps(snapshot.to_record(stack_scene.environment, moment)))
    first = run(stack_scene, actions(stack_scene, 30, seed=1))
    other = Scene(find_task("stack"))
    other.restore(snapshot.from_record(other.environment, record, row))
    np.testing.assert_array_equal(run(other, actions(other, 30, seed=1)), first)


def test_time_positions_and_velocities_alone_are_not_the_whole_state(stack_scene):
    """The reason for all of this: the gripper's command and the arm's posture are hidden in robosuite's objects."""
    stack_scene.reset(1)
    run(stack_scene, actions(stack_scene, 10))
    row = state_row(stack_scene.environment)
    first = run(stack_scene, actions(stack_scene, 30, seed=1))
    stack_scene.reset(2)
    data = stack_scene.data
    data.time, data.qpos[:] = row[0], row[1 : 1 + stack_scene.model.nq]
    data.qvel[:] = row[1 + stack_scene.model.nq :]
    stack_scene.loop.rebind()
    assert np.abs(run(stack_scene, actions(stack_scene, 30, seed=1)) - first).max() > 1e-3


def test_what_a_reset_wrote_into_the_model_is_part_of_a_snapshot(stack_scene):
    model, kept = stack_scene.model, ModelState(stack_scene.model)
    model.body_pos[3, 0] += 0.25
    changes = json.loads(json.dumps(kept.changes()))
    assert list(changes) == ["body_pos"]
    changed = model.body_pos.copy()
    kept.put({})
    assert not np.array_equal(model.body_pos, changed)
    kept.put(changes)
    np.testing.assert_array_equal(model.body_pos, changed)
    kept.put({})


def test_a_state_of_another_model_is_refused(stack_scene):
    record = snapshot.to_record(stack_scene.environment, stack_scene.snapshot())
    with pytest.raises(SchemaError, match="recorded with another model or version of the task"):
        snapshot.from_record(stack_scene.environment, record, np.zeros(10))
