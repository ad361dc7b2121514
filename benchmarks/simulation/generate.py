"""CPU per kept trajectory with two cameras at 128x128, against rendering both at every step of every attempt.

The other side is robosuite's own way: an environment with `use_camera_obs`, whose `env.step` draws both cameras every
time. It is charged for the steps of the same attempts, kept or not, and for nothing else.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.simulation.cores import cores
from generators.simulation.multiply import Multiply
from generators.simulation.multiply_config import MultiplyConfig
from generators.simulation.stepping.build import build_environment
from generators.simulation.task.registry import find_task, tasks
from generators.simulation.task.specification import Environment
from storage.ids import Randomness
from storage.outcomes import Kept

BAR = 1 / 8
_QUICK = ("stack", "two_arm_lift", "apple_from_plate_to_bowl")
_SECOND_CAMERA = "table_view"
"""Joins the head's camera where a task has only that one."""


def run(quick: bool) -> dict[str, Any]:
    """A task of one arm, of two, and of the GR-1; the full run takes every task.
    `cores_for_...` is what GR00T N1's amount would take, were all of it this task."""
    return _run(_QUICK if quick else sorted(tasks()), kept=4 if quick else 6, oracle_steps=25 if quick else 40)


def _run(names: Sequence[str], *, kept: int, oracle_steps: int, sources: int = 0) -> dict[str, Any]:
    figures: dict[str, float] = {}
    bars: dict[str, dict[str, float]] = {}
    for name in names:
        print(f"{name}:", flush=True)
        measured = _measure(name, kept=kept, oracle_steps=oracle_steps, sources=sources)
        limits = {"ours_over_robosuite": {"at_most": BAR}}
        measure.print_table(measured, limits)
        figures |= {f"{name}_{key}": value for key, value in measured.items()}
        bars |= {f"{name}_{key}": limit for key, limit in limits.items()}
    return measure.result(figures, bars)


def _measure(name: str, *, kept: int, oracle_steps: int, sources: int) -> dict[str, float]:
    task = find_task(name)
    cameras = task.cameras if len(task.cameras) == 2 else (task.cameras[0], _SECOND_CAMERA)
    stage = Multiply(MultiplyConfig(task=name, cameras=cameras, sources=sources))
    randomness = Randomness(1, "multiply")
    stage([{"first_attempt": 10**6, "attempts": 10, "keep_at_most": 1}], randomness)
    plain = build_environment(
        task,
        quality="full",
        has_offscreen_renderer=True,
        use_camera_obs=True,
        camera_names=list(cameras),
        camera_heights=128,
        camera_widths=128,
    )
    plain.reset()
    attempts: list[Any] = []
    items = [{"first_attempt": 40 * number, "attempts": 40, "keep_at_most": 1} for number in range(kept)]
    seconds = measure.interleaved(
        {
            "ours": lambda: attempts.extend(stage(items, randomness)),
            "robosuite": lambda: _render_every_step(plain, oracle_steps),
        },
        rounds=1,
        warm_up=0,
    )
    outcomes = [outcome for one in attempts for outcome in one]
    episodes = [outcome.episode for outcome in outcomes if isinstance(outcome, Kept)]
    steps = sum(one.episode.length if isinstance(one, Kept) else int(one.detail["steps"]) for one in outcomes)
    each = seconds["ours"].cpu_s / max(len(episodes), 1)
    theirs = seconds["robosuite"].cpu_s / oracle_steps * steps / max(len(episodes), 1)
    return {
        "ours_over_robosuite": each / theirs,
        "cpu_s_per_trajectory": each,
        "robosuite_cpu_s_per_trajectory": theirs,
        "steps_per_trajectory": sum(episode.length for episode in episodes) / max(len(episodes), 1),
        "success_rate": len(episodes) / len(outcomes),
        "cores_for_780000_in_11_hours": cores(each),
    }


def _render_every_step(environment: Environment, steps: int) -> None:
    environment.sim._render_context_offscreen.gl_ctx.make_current()  # robosuite does so only once
    for _ in range(steps):
        environment.step(np.zeros(environment.action_dim))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation.generate")
    parser.add_argument("names", nargs="*", help="tasks; all of them when none is named")
    parser.add_argument("--kept", type=int, default=4, help="trajectories of each task")
    parser.add_argument("--steps", type=int, default=25, help="steps of robosuite's own environment")
    parser.add_argument(
        "--sources", type=int, default=0, help="source demonstrations; 0: all; reading them is not timed"
    )
    chosen = parser.parse_args()
    _run(chosen.names or sorted(tasks()), kept=chosen.kept, oracle_steps=chosen.steps, sources=chosen.sources)
