"""Everything that a robosuite environment's next steps depend on, saved and put back.

MuJoCo's time, positions and velocities are not all: robosuite's controllers keep a posture to fall towards and their
goals, grippers integrate their command, MuJoCo warm-starts its solver, and environments move fixtures by writing to the
model. A snapshot holds these too, so that what is put back goes on to the bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from generators.simulation.task.specification import Environment
from storage.errors import SchemaError

_SPEC = mujoco.mjtState.mjSTATE_INTEGRATION
_CONTROLLER_FIELDS = ("initial_joint", "goal_pos", "goal_ori", "goal_qpos", "goal_qvel", "_goal_update_mode")
_MODEL_PREFIXES = ("body_", "jnt_", "dof_", "geom_", "site_", "eq_", "actuator_", "cam_", "light_", "mat_", "tendon_")
_LARGEST_MODEL_ARRAY = 50_000


class ModelState:
    """The model as it was built, and what has been changed in it since (fixtures, frictions, looks)."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._live: dict[str, NDArray[Any]] = {}
        for name in dir(model):
            if name.startswith(_MODEL_PREFIXES):
                value = getattr(model, name)
                if isinstance(value, np.ndarray) and 0 < value.size <= _LARGEST_MODEL_ARRAY:
                    self._live[name] = value
        self._built = {name: value.copy() for name, value in self._live.items()}

    def changes(self) -> dict[str, dict[int, float]]:
        """Array name -> flat index -> value, for everything that differs from the model as built."""
        changed = {}
        for name, live in self._live.items():
            if not np.array_equal(live, self._built[name]):
                index = np.flatnonzero(live.ravel() != self._built[name].ravel())
                changed[name] = {int(at): float(live.ravel()[at]) for at in index}
        return changed

    def differing(self, other: "ModelState") -> list[str]:
        """Names of the arrays in which two models differ as they were built."""
        names = self._built.keys() | other._built.keys()
        return sorted(
            name for name in names if not np.array_equal(self._built.get(name, ()), other._built.get(name, ()))
        )

    def put(self, changes: Mapping[str, Mapping[Any, float]]) -> None:
        """The model as built, with `changes` (keys may be text, as JSON has them)."""
        for name, live in self._live.items():
            if not np.array_equal(live, self._built[name]):
                live[...] = self._built[name]
        for name, values in changes.items():
            flat = self._live[name].reshape(-1)
            for index, value in values.items():
                flat[int(index)] = value


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A moment of an environment. `physics` is MuJoCo's integration state; `hidden` is robosuite's part of it."""

    physics: NDArray[np.float64]
    hidden: tuple[Mapping[str, Mapping[str, Any]], ...]
    model: Mapping[str, Mapping[int, float]]
    timestep: int
    cur_time: float


def take(environment: Environment, model_state: ModelState) -> Snapshot:
    """The present moment."""
    model, data = environment.sim.model._model, environment.sim.data._data
    physics = np.empty(mujoco.mj_stateSize(model, _SPEC))
    mujoco.mj_getState(model, data, physics, _SPEC)
    return Snapshot(
        physics=physics,
        hidden=tuple(_hidden(robot) for robot in environment.robots),
        model=model_state.changes(),
        timestep=environment.timestep,
        cur_time=environment.cur_time,
    )


def put(environment: Environment, model_state: ModelState, snapshot: Snapshot) -> None:
    """Go back to `snapshot`, taken of the same model. Derived quantities are fresh afterwards."""
    model, data = environment.sim.model._model, environment.sim.data._data
    model_state.put(snapshot.model)
    mujoco.mj_setState(model, data, snapshot.physics, _SPEC)
    for robot, hidden in zip(environment.robots, snapshot.hidden, strict=True):
        _unhide(robot, hidden)
    environment.timestep, environment.cur_time, environment.done = snapshot.timestep, snapshot.cur_time, False
    mujoco.mj_step1(model, data)


def _hidden(robot: Any) -> dict[str, dict[str, Any]]:
    hidden: dict[str, dict[str, Any]] = {}
    for name, controller in robot.part_controllers.items():
        values = {field: getattr(controller, field) for field in _CONTROLLER_FIELDS if hasattr(controller, field)}
        hidden[name] = {field: np.copy(value) if _is_array(value) else value for field, value in values.items()}
    for arm, gripper in robot.gripper.items():
        hidden[f"hand:{arm}"] = {"current_action": np.copy(gripper.current_action)}
    return hidden


def _unhide(robot: Any, hidden: Mapping[str, Mapping[str, Any]]) -> None:
    for name, controller in robot.part_controllers.items():
        for field, value in hidden.get(name, {}).items():
            setattr(controller, field, np.copy(value) if _is_array(value) else value)
        controller.new_update = True
    for arm, gripper in robot.gripper.items():
        gripper.current_action = np.copy(hidden[f"hand:{arm}"]["current_action"])


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | list | tuple)


def to_record(environment: Environment, snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as JSON, less time, positions and velocities, which a trajectory stores as its first state row."""
    physics = snapshot.physics.copy()
    physics[: _state_size(environment)] = 0.0
    return {
        "physics_size": len(physics),
        "physics": {int(at): float(physics[at]) for at in np.flatnonzero(physics)},
        "hidden": [
            {name: {field: _listed(value) for field, value in fields.items()} for name, fields in robot.items()}
            for robot in snapshot.hidden
        ],
        "model": {name: dict(values) for name, values in snapshot.model.items()},
    }


def from_record(environment: Environment, record: Mapping[str, Any], state: NDArray[np.float64]) -> Snapshot:
    """The inverse of `to_record`: `state` is (1 + nq + nv,), time, positions, velocities.

    Raises SchemaError when the record was made with another model.
    """
    model = environment.sim.model._model
    expected = mujoco.mj_stateSize(model, _SPEC)
    size = _state_size(environment)
    if record["physics_size"] != expected or len(state) != size:
        raise SchemaError(
            f"the recorded state has {record['physics_size']} numbers, {len(state)} of them per step; this scene has"
            f" {expected} and {size}: it was recorded with another model or version of the task"
        )
    physics = np.zeros(expected)
    for index, value in record["physics"].items():
        physics[int(index)] = value
    physics[:size] = state
    hidden = tuple(
        {name: {field: _unlisted(value) for field, value in fields.items()} for name, fields in robot.items()}
        for robot in record["hidden"]
    )
    return Snapshot(physics=physics, hidden=hidden, model=record["model"], timestep=0, cur_time=float(state[0]))


def state_row(environment: Environment) -> NDArray[np.float64]:
    """Time, positions and velocities now: (1 + nq + nv,)."""
    data = environment.sim.data._data
    return np.concatenate(([data.time], data.qpos, data.qvel))


def _state_size(environment: Environment) -> int:
    model = environment.sim.model._model
    return int(1 + model.nq + model.nv)


def _listed(value: Any) -> Any:
    return np.asarray(value).tolist() if _is_array(value) else value


def _unlisted(value: Any) -> Any:
    return np.asarray(value, dtype=np.float64) if isinstance(value, list) else value
