"""Replaying trajectories: putting a scene where one began, and stepping its recorded actions."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from generators.simulation.demonstrations.recordings import RecordedDemonstration
from generators.simulation.stepping import snapshot
from generators.simulation.stepping.scene import Scene
from storage.episode import Episode
from storage.errors import BrokenSimulationError, SchemaError

DISTURBANCE = 1e-9
"""Standard deviation of what a disturbed replay adds to every position (m, rad) and velocity of its first state: far
more than what two processors round differently in one step, far less than anything that is meant."""
DISTURBED_REPLAYS = 4


def begin(scene: Scene, recording: RecordedDemonstration) -> None:
    """Put the scene where a demonstration begins; raises SchemaError when it was recorded with another model."""
    if recording.initial:
        scene.restore(snapshot.from_record(scene.environment, recording.initial, recording.states[0]))
        return
    scene.reset(recording.seed)
    state, model, data = recording.states[0], scene.model, scene.data
    if len(state) != 1 + model.nq + model.nv:
        raise SchemaError(
            f"{recording.name}: its states have {len(state)} numbers, this scene has {1 + model.nq + model.nv}"
            f" (time, {model.nq} positions, {model.nv} velocities): it was recorded with another robot, model or task"
        )
    data.time, data.qpos[:], data.qvel[:] = state[0], state[1 : 1 + model.nq], state[1 + model.nq :]
    for robot in scene.environment.robots:
        for controller in robot.part_controllers.values():
            controller.initial_joint = np.array(data.qpos[controller.qpos_index])
    scene.loop.rebind()


def replayed(scene: Scene, recording: RecordedDemonstration) -> Iterator[NDArray[np.float64]]:
    """Step a recording's environment actions from its beginning; yields the state row before each step and after the
    last one (T + 1 rows). The scene may be read in between. Raises BrokenSimulationError."""
    begin(scene, recording)
    yield snapshot.state_row(scene.environment)
    for action in recording.actions:
        scene.step(action)
        yield snapshot.state_row(scene.environment)


def replays(scene: Scene, recording: RecordedDemonstration) -> bool:
    """Whether a recording's actions, stepped from its beginning, end in success."""
    try:
        for _ in replayed(scene, recording):
            pass
    except BrokenSimulationError:
        return False
    return scene.succeeded()


def disturbed_successes(
    scene: Scene, recording: RecordedDemonstration, *, replays_wanted: int = DISTURBED_REPLAYS
) -> int:
    """How many of so many replays end in success although each begins minutely beside the recorded start.

    Processors differ in the last bit of a sine or a dot product, and contacts amplify that: a demonstration that
    hangs by a hair on one machine fails on the next. One that survives these replays does not hang by a hair.
    """
    successes = 0
    for number in range(replays_wanted):
        states = recording.states.copy()
        states[0, 1:] += np.random.default_rng(number).normal(0.0, DISTURBANCE, states.shape[1] - 1)
        successes += replays(scene, replace(recording, states=states))
    return successes


def recording_of(scene: Scene, episode: Episode) -> RecordedDemonstration:
    """A generated episode as a recording of environment actions; raises SchemaError where it holds none."""
    made = episode.provenance.get("simulation", {})
    missing = {"simulation/state", "action/ground_truth"} - episode.arrays.keys()
    if missing or "initial" not in made:
        raise SchemaError(
            f"episode {episode.episode_id!r} was not simulated here; it lacks {sorted(missing) or 'initial'}"
        )
    actions = [scene.actuation.recorded(vector) for vector in episode.arrays["action/ground_truth"]]
    return RecordedDemonstration(
        name=episode.episode_id,
        actions=np.stack(actions),
        states=episode.arrays["simulation/state"],
        initial=made["initial"],
        variant=made["variant"],
        placement=made["placement"],
        seed=made["seed"],
    )
