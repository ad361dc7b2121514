"""How many cores 780,000 trajectories in 11 hours take: seconds per kept trajectory of each task.

Attempts cost what `simulation_success` measured on D0, divided by the rate of success. A kept trajectory is then drawn
and encoded, which is timed here for one task of every robot class.
"""

from typing import Any

from benchmarks import measure
from generators.simulation.demonstrations.annotate import SourceReader
from generators.simulation.demonstrations.recordings import source_path
from generators.simulation.inspection.success_rates import measured_rates
from generators.simulation.mimicgen.attempt import DemonstrationGenerator
from generators.simulation.mimicgen.episode_builder import EpisodeMaker
from generators.simulation.stepping.render import Pictures
from generators.simulation.stepping.scene import Scenes
from generators.simulation.task.registry import find_task, tasks
from storage.errors import WorkFailedError

TRAJECTORIES, HOURS = 780_000, 11.0
"""What GR00T N1 generated, and in how long."""
_DRAWN = {
    "panda": "stack",
    "two_pandas": "two_arm_lift",
    "two_pandas_handless": "two_arm_peg_in_hole",
    "two_pandas_inspire": "tray_lift",
    "gr1": "apple_from_plate_to_bowl",
}


def run(quick: bool) -> dict[str, Any]:
    """All tasks that have a rate with its cost; `quick` times each drawing once instead of three times."""
    drawing_s = {robot: _seconds_a_picture(name, rounds=1 if quick else 3) for robot, name in _DRAWN.items()}
    costs = {name: cost for name in tasks() if (cost := _seconds_a_kept_one(name, drawing_s)) is not None}
    print(table(costs))
    figures = {f"{robot}_ms_a_picture": seconds * 1e3 for robot, seconds in drawing_s.items()}
    figures |= {f"{name}_s_a_trajectory": seconds for name, seconds in costs.items()}
    figures |= {"mean_s_a_trajectory": sum(costs.values()) / max(len(costs), 1)}
    figures |= {"cores": cores(figures["mean_s_a_trajectory"])}
    return measure.result(figures, {})


def cores(seconds_each: float) -> float:
    """Cores that make all trajectories in time when one takes so many CPU seconds."""
    return TRAJECTORIES * seconds_each / (HOURS * 3600)


def table(costs: dict[str, float]) -> str:
    """Markdown: seconds per kept trajectory, and cores if all of them were of this task."""
    rows = ["| task | cameras | CPU s a kept trajectory | cores for all |", "| --- | --- | --- | --- |"]
    rows += [
        f"| `{name}` | {len(tasks()[name].cameras)} | {cost:.2f} | {cores(cost):.0f} |" for name, cost in costs.items()
    ]
    mean = sum(costs.values()) / max(len(costs), 1)
    return "\n".join([*rows, f"| **as many of each** | | **{mean:.2f}** | **{cores(mean):.0f}** |"])


def _seconds_a_kept_one(name: str, drawing_s: dict[str, float]) -> float | None:
    """CPU seconds per kept trajectory; None where nothing was measured or kept."""
    rate = measured_rates().get(name, {}).get("D0", {})
    if not rate.get("successes") or "cpu_s_an_attempt" not in rate:
        return None
    task = tasks()[name]
    pictures = rate["steps_an_attempt"] * len(task.cameras)
    return float(rate["cpu_s_an_attempt"] / rate["rate"] + drawing_s[task.robot_class] * pictures)


def _seconds_a_picture(name: str, *, rounds: int) -> float:
    """CPU seconds to make an episode of an attempt with pictures of 128x128, per picture."""
    task, scenes = find_task(name), Scenes(find_task(name))
    sources = SourceReader(task, scenes).read(source_path(task), at_most=3)
    generator = DemonstrationGenerator(scenes("D0", 0), sources)
    attempt = next((one for one in map(generator.attempt, range(20)) if one.succeeded), None)
    if attempt is None:
        raise WorkFailedError(f"no attempt at {name} succeeded in 20")
    maker = EpisodeMaker(generator.scene, Pictures(cameras=task.cameras))
    taken = measure.interleaved(
        {"draw": lambda: maker.episode(attempt, episode_id="drawn", about={})}, rounds=rounds, warm_up=1
    )
    return taken["draw"].cpu_s / (len(attempt.actions) * len(task.cameras))
