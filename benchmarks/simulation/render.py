"""CPU of one picture at 128x128, our fast quality against robosuite's default rendering of the same scene and view."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import measure
from generators.simulation.demonstrations.recordings import read_recordings, source_path
from generators.simulation.stepping.build import build_environment
from generators.simulation.stepping.render import Pictures, Renderer
from generators.simulation.stepping.scene import Scene
from generators.simulation.stepping.snapshot import state_row
from generators.simulation.task.registry import find_task
from generators.simulation.task.specification import Environment

SIZE_PX = 128
BARS = {"fast_over_robosuite": {"at_most": 1 / 8}}
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


def run(quick: bool) -> dict[str, Any]:
    """Lift from the front; the full run also draws every shipped kind of robot side by side into docs/pictures."""
    figures = _measure("lift", "agentview", frames=20 if quick else 60, rounds=3 if quick else 7)
    if not quick:
        for name in ("lift", "two_arm_lift", "tray_lift"):
            _side_by_side(name)
    print(f"One picture at {SIZE_PX}x{SIZE_PX}, Lift, agentview:")
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)


def _measure(name: str, camera: str, *, frames: int, rounds: int) -> dict[str, float]:
    task = find_task(name)
    states = read_recordings(source_path(task))[0].states[:frames]
    plain = _plain(name)
    renderers = {
        "fast": Renderer(Scene(task).model, Pictures(cameras=(camera,))),
        "full": Renderer(Scene(task, quality="full").model, Pictures(cameras=(camera,), quality="full")),
    }
    contestants: dict[str, Any] = {
        key: (lambda one=renderer: [None for _ in one.frames(states)]) for key, renderer in renderers.items()
    }
    contestants["robosuite"] = lambda: [_robosuite_picture(plain, state, camera) for state in states]
    seconds = measure.interleaved(contestants, rounds=rounds)
    milliseconds = {key: taken.cpu_s / frames * 1e3 for key, taken in seconds.items()}
    return {
        "fast_over_robosuite": milliseconds["fast"] / milliseconds["robosuite"],
        **{f"{key}_cpu_ms": value for key, value in milliseconds.items()},
        **{f"{key}_frames_per_second": frames / taken.wall_s for key, taken in seconds.items()},
    }


def _plain(name: str) -> Environment:
    """The task's environment as robosuite makes it, with its own offscreen renderer and all meshes."""
    environment = build_environment(find_task(name), quality="full", has_offscreen_renderer=True)
    environment.reset()
    return environment


def _robosuite_picture(environment: Environment, state: Any, camera: str) -> Any:
    data = environment.sim.data
    data.qpos[:] = state[1 : 1 + environment.sim.model.nq]
    environment.sim.forward()
    environment.sim._render_context_offscreen.gl_ctx.make_current()  # robosuite does so only once
    return environment.sim.render(camera_name=camera, width=SIZE_PX, height=SIZE_PX)[::-1]


def _side_by_side(name: str) -> None:
    """robosuite's picture and ours of every camera of a task, magnified twice, as a PNG."""
    task = find_task(name)
    plain, scene = _plain(name), Scene(task)
    scene.reset(1)
    state = state_row(scene.environment)
    renderer = Renderer(scene.model, Pictures(cameras=task.cameras))
    ours = next(renderer.frames(state[None]))
    rows = [np.concatenate([_robosuite_picture(plain, state, camera), ours[camera]], axis=1) for camera in task.cameras]
    renderer.close()
    picture = np.concatenate(rows, axis=0)
    PICTURES.mkdir(parents=True, exist_ok=True)
    large = Image.fromarray(picture).resize((2 * picture.shape[1], 2 * picture.shape[0]), Image.Resampling.NEAREST)
    large.save(PICTURES / f"render-{name}.png")
