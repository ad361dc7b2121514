"""Collecting source demonstrations with a task's scripted expert.

python -m generators.simulation.demonstrations.collect stack --episodes 10
"""

import argparse
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np

from generators.simulation.demonstrations.recordings import RecordedDemonstration, collected_path, write_recordings
from generators.simulation.demonstrations.replay import DISTURBED_REPLAYS, disturbed_successes, replayed
from generators.simulation.stepping import snapshot
from generators.simulation.stepping.scene import Scene
from generators.simulation.task.constraints import graph_of
from generators.simulation.task.registry import find_task
from generators.simulation.task.specification import Expert, Task
from storage.errors import BrokenSimulationError, ConfigError, WorkFailedError

logger = logging.getLogger(__name__)

EXPERT_STREAM = 1


def collect(task: Task, *, episodes: int, placement: str = "D0", first_seed: int = 0) -> list[RecordedDemonstration]:
    """`episodes` successful demonstrations by the task's expert, with seeds counted from `first_seed`.

    Only those are kept that also succeed when they are replayed from minutely disturbed starts, as they will be on
    other processors. Raises WorkFailedError when fewer than one in five tries succeeds.
    """
    expert, tries, failures = expert_of(task), 0, Counter[str]()
    recordings: list[RecordedDemonstration] = []
    scenes = {variant: Scene(task, placement=placement, variant=variant) for variant in range(task.variants)}
    while len(recordings) < episodes:
        seed = first_seed + tries
        if tries >= 10 and tries >= 5 * (len(recordings) + 1):
            causes = "; ".join(f"{count} x {cause}" for cause, count in failures.most_common(4))
            raise WorkFailedError(
                f"the expert of {task.name!r} succeeded {len(recordings)} times in {tries} tries. Where it failed:"
                f" {causes}"
            )
        scene = scenes[seed % task.variants]
        tries += 1
        try:
            made = _demonstrate(scene, expert, seed)
            failure = _failure(scene, made)
        except BrokenSimulationError as error:
            failure = str(error)
        if failure:
            logger.info("seed %d: %s", seed, failure)
            failures[failure] += 1
        else:
            recordings.append(replace(made, name=f"demo_{len(recordings)}"))
    logger.info("%s: %d demonstrations from %d tries", task.name, episodes, tries)
    return recordings


def _failure(scene: Scene, made: RecordedDemonstration) -> str:
    """Why a demonstration that was just made is of no use: where it stopped; empty when it is good."""
    if not scene.succeeded():
        return _where_it_stopped(scene, made)
    if disturbed_successes(scene, made) < DISTURBED_REPLAYS:
        return "succeeds, but not from every minutely disturbed start"
    return ""


def _where_it_stopped(scene: Scene, made: RecordedDemonstration) -> str:
    """The first subtask that never ended, by the signals of a replay."""
    graph, signals = graph_of(scene.task), []
    for step, _ in enumerate(replayed(scene, made)):
        known = {name: bool(values[min(step, len(values) - 1)]) for name, values in made.signals.items()}
        signals.append({**known, **scene.task.signals(scene.environment)})
    held = {name: np.array([bool(step[name]) for step in signals]) for name in signals[0]}
    for node in (node for group in graph.groups for node in group):
        wanted = graph.subtask(node).termination_signal
        if wanted in held and not held[wanted].any():
            return f"{graph.name(node)} never ends: its signal {wanted!r} never holds"
    return "every subtask ends, but the success check does not hold at the end"


def _demonstrate(scene: Scene, expert: Expert, seed: int) -> RecordedDemonstration:
    """One episode of the expert; raises BrokenSimulationError when the physics break, or when it does nothing."""
    scene.reset(seed)
    initial = snapshot.to_record(scene.environment, scene.snapshot())
    actions, states, signals = [], [], []
    for said in expert(scene.environment, np.random.default_rng([seed, EXPERT_STREAM])):
        action, known = said if isinstance(said, tuple) else (said, {})
        actions.append(np.asarray(action, np.float32))
        states.append(snapshot.state_row(scene.environment))
        signals.append(dict(known))
        scene.step(actions[-1])
        if len(actions) >= 4 * scene.task.horizon:
            raise ConfigError(f"the expert of {scene.task.name!r} does not end within {len(actions)} steps")
    if not actions:
        raise BrokenSimulationError("the expert yields no action")
    names = signals[0].keys()
    return RecordedDemonstration(
        name="",
        actions=np.stack(actions),
        states=np.stack(states),
        signals={name: np.array([step[name] for step in signals]) for name in names},
        initial=initial,
        variant=scene.variant,
        placement=scene.placement_name,
        seed=seed,
    )


def expert_of(task: Task) -> Expert:
    """The task's scripted expert; raises ConfigError when it has none."""
    if task.expert is None:
        raise ConfigError(f"task {task.name!r} has no expert; give it demonstrations from elsewhere")
    if not isinstance(task.expert, str):
        return task.expert
    module, _, name = task.expert.partition(":")
    expert: Expert = getattr(import_module(module), name)
    return expert


def main(arguments: Sequence[str] | None = None) -> None:
    """Collect demonstrations of a task into its source file."""
    parser = argparse.ArgumentParser(
        prog="python -m generators.simulation.demonstrations.collect", description=main.__doc__
    )
    parser.add_argument("task", help="the name of a task, or the path of a Python file that declares one")
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--placement", default="D0")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="default: the file that the task names")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    task = find_task(options.task)
    made = collect(task, episodes=options.episodes, placement=options.placement, first_seed=options.first_seed)
    write_recordings(options.output or collected_path(task), task, made)


if __name__ == "__main__":
    main()
