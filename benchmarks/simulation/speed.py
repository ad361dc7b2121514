"""CPU of a whole attempt per control step, without pictures, against robosuite's `env.step` on the same environment.

All of an attempt counts: reset, choosing and moving segments, stepping, making the episode. The oracle replays the
actions of the same attempts with nothing but `env.step`. The states of both must agree.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import measure
from generators.simulation.demonstrations.recordings import RecordedDemonstration
from generators.simulation.demonstrations.replay import begin, recording_of, replayed
from generators.simulation.multiply import Multiply
from generators.simulation.multiply_config import MultiplyConfig
from generators.simulation.stepping.scene import Scene
from generators.simulation.stepping.snapshot import state_row
from generators.simulation.task.registry import tasks
from storage.ids import Randomness
from storage.outcomes import Kept

SINGLE_ARM_BAR, OTHER_BAR = 0.5, 0.6
TOLERANCE = 1e-6
_PREFERRED = ("stack", "two_arm_lift", "two_arm_peg_in_hole", "tray_lift")


def run(quick: bool) -> dict[str, Any]:
    """One task of every robot class; `quick` takes fewer attempts."""
    figures: dict[str, float] = {}
    bars: dict[str, dict[str, float]] = {}
    for robot_class, task in _one_task_each().items():
        print(f"{robot_class} ({task}):")
        measured = _measure(task, attempts=3 if quick else 8, rounds=2 if quick else 3)
        limits = {
            "attempt_over_env_step": {"at_most": SINGLE_ARM_BAR if robot_class == "panda" else OTHER_BAR},
            "states_apart": {"at_most": TOLERANCE},
        }
        measure.print_table(measured, limits)
        figures |= {f"{robot_class}_{name}": value for name, value in measured.items()}
        bars |= {f"{robot_class}_{name}": limit for name, limit in limits.items()}
    return measure.result(figures, bars)


def _one_task_each() -> dict[str, str]:
    """Robot class -> a task of it."""
    chosen: dict[str, str] = {}
    for name, task in sorted(tasks().items(), key=lambda item: item[0] not in _PREFERRED):
        chosen.setdefault(task.robot_class, name)
    return dict(sorted(chosen.items()))


def _measure(task: str, *, attempts: int, rounds: int) -> dict[str, float]:
    stage = Multiply(MultiplyConfig(task=task, size_px=0))
    randomness = Randomness(0, "multiply")
    items = [{"first_attempt": number} for number in range(attempts)]
    outcomes = stage(items, randomness)
    steps = sum(_steps(outcome) for one in outcomes for outcome in one)
    scene = next(iter(stage._generators.values())).scene
    kept = [outcome.episode for one in outcomes for outcome in one if isinstance(outcome, Kept)]
    recordings = [recording_of(scene, episode) for episode in kept[:2]] or [_idle(scene)]
    oracle_steps = sum(len(recording.actions) for recording in recordings)
    seconds = measure.interleaved(
        {
            "attempt": lambda: stage(items, randomness),
            "env.step": lambda: _oracle(scene, recordings),
        },
        rounds=rounds,
        warm_up=0,
    )
    ours, theirs = seconds["attempt"].cpu_s / steps, seconds["env.step"].cpu_s / oracle_steps
    return {
        "attempt_over_env_step": ours / theirs,
        "attempt_cpu_ms_per_step": ours * 1e3,
        "env_step_cpu_ms": theirs * 1e3,
        "attempt_wall_ms_per_step": seconds["attempt"].wall_s / steps * 1e3,
        "states_apart": _apart(scene, recordings[0]),
    }


def _steps(outcome: Any) -> int:
    return outcome.episode.length if isinstance(outcome, Kept) else int(outcome.detail["steps"])


def _idle(scene: Scene) -> RecordedDemonstration:
    """A recording of an arm that stands still, where no attempt succeeded."""
    scene.reset(0)
    action = scene.actuation.action(scene.actuation.poses(), scene.actuation.targets(_zeros(scene))[1])
    states = np.repeat(state_row(scene.environment)[None], 100, axis=0)
    return RecordedDemonstration(name="idle", actions=np.repeat(action[None], 100, axis=0), states=states)


def _zeros(scene: Scene) -> Any:
    return np.zeros(scene.environment.action_dim, np.float32)


def _oracle(scene: Scene, recordings: Sequence[RecordedDemonstration]) -> None:
    for recording in recordings:
        begin(scene, recording)
        for action in recording.actions.astype(np.float64):
            scene.environment.step(action)


def _apart(scene: Scene, recording: RecordedDemonstration) -> float:
    """Largest difference between our states and those of `env.step`, over at most 200 steps."""
    short = recording.actions[:200]
    ours = np.stack([row for row, _ in zip(replayed(scene, recording), range(len(short) + 1), strict=False)])
    begin(scene, recording)
    theirs = [state_row(scene.environment)]
    for action in short.astype(np.float64):
        scene.environment.step(action)
        theirs.append(state_row(scene.environment))
    return float(np.abs(ours - np.stack(theirs)).max())
