"""Memory of a worker that generates with pictures, against the bare robosuite environment in its own process: without
any pictures, which is what it must not exceed, and with the same cameras as observations."""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import measure

BARS_AT_MOST = 1.0
_TASKS = {"panda": "stack", "two_pandas": "two_arm_lift"}


def run(quick: bool) -> dict[str, Any]:
    """One Panda and two; the peak of each process, and whether a worker loads torch."""
    figures: dict[str, float] = {}
    for robots, task in _TASKS.items():
        bare, drawing, worker = (_in_process(role, task) for role in ("bare", "drawing", "worker"))
        figures |= {
            f"{robots}_worker_over_bare": worker["megabytes"] / bare["megabytes"],
            f"{robots}_worker_megabytes": worker["megabytes"],
            f"{robots}_bare_megabytes": bare["megabytes"],
            f"{robots}_bare_with_pictures_megabytes": drawing["megabytes"],
            f"{robots}_torch_imported": worker["torch"],
        }
    bars = {name: {"at_most": BARS_AT_MOST} for name in figures if name.endswith("over_bare")}
    bars |= {name: {"at_most": 0.0} for name in figures if name.endswith("torch_imported")}
    print("Peak memory of a worker (attempts and pictures) against the bare environment (no pictures):")
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _in_process(role: str, task: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.simulation.memory", role, task]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    figures: dict[str, float] = json.loads(printed.strip().splitlines()[-1])
    return figures


def _worker(task: str) -> None:
    from generators.simulation.multiply import Multiply
    from generators.simulation.multiply_config import MultiplyConfig
    from storage.ids import Randomness

    Multiply(MultiplyConfig(task=task))([{"first_attempt": 0, "attempts": 4}], Randomness(0, "multiply"))


def _bare(task: str, *, pictures: bool = False) -> None:
    """What robosuite's documentation does: make, reset, step; perhaps with pictures of two cameras as observations."""
    import numpy as np
    import robosuite

    names, robots, cameras = {
        "stack": ("Stack", ["Panda"], ["agentview", "robot0_eye_in_hand"]),
        "two_arm_lift": ("TwoArmLift", ["Panda", "Panda"], ["agentview", "robot0_eye_in_hand"]),
    }[task]
    drawing = {"camera_names": cameras, "camera_heights": 128, "camera_widths": 128}
    environment = robosuite.make(
        names,
        robots=robots,
        has_renderer=False,
        has_offscreen_renderer=pictures,
        use_camera_obs=pictures,
        **(drawing if pictures else {}),
    )
    environment.reset()
    for _ in range(20):
        environment.step(np.zeros(environment.action_dim))


if __name__ == "__main__":
    roles: dict[str, Callable[[str], None]] = {
        "worker": _worker,
        "bare": _bare,
        "drawing": partial(_bare, pictures=True),
    }
    roles[sys.argv[1]](sys.argv[2])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"megabytes": peak, "torch": float("torch" in sys.modules)}))
