import os
import subprocess
import sys

import numpy as np
import pytest

from generators.simulation.stepping.render import Pictures, Renderer
from generators.simulation.stepping.scene import Scene
from generators.simulation.stepping.snapshot import state_row
from generators.simulation.task.registry import find_task
from storage.errors import ConfigError, UnknownNameError

CAMERAS = ("agentview", "robot0_eye_in_hand")


def drawn(scene: Scene, states, **settings):
    renderer = Renderer(scene.model, Pictures(cameras=CAMERAS, **settings))
    try:
        return list(renderer.frames(states))
    finally:
        renderer.close()


@pytest.fixture(scope="module")
def states(stack_scene):
    stack_scene.reset(0)
    rows = []
    for _ in range(4):
        rows.append(state_row(stack_scene.environment))
        for _ in range(4):
            stack_scene.step(np.array([0, 0, -1, 0, 0, 0, -1], np.float32))
    return np.stack(rows)


def test_the_fast_picture_shows_what_the_full_one_shows(stack_scene, states):
    fast = drawn(stack_scene, states[:1])[0]
    full = drawn(Scene(find_task("stack"), quality="full"), states[:1], quality="full")[0]
    for camera in CAMERAS:
        apart = np.abs(fast[camera].astype(float) - full[camera].astype(float)).mean()
        assert apart < 6.0, f"{camera} differs by {apart:.1f} grey levels on average"
        assert np.corrcoef(fast[camera].ravel(), full[camera].ravel())[0, 1] > 0.97


def test_pictures_follow_the_states_and_not_the_scene(stack_scene, states):
    before = drawn(stack_scene, states)
    stack_scene.reset(9)
    after = drawn(stack_scene, states)
    for first, second in zip(before, after, strict=True):
        np.testing.assert_array_equal(first["agentview"], second["agentview"])
    assert np.abs(before[0]["agentview"].astype(int) - before[-1]["agentview"].astype(int)).max() > 50


def test_pictures_are_upright(stack_scene, states):
    """The table is below, the dark wall behind it above."""
    picture = drawn(stack_scene, states[:1])[0]["agentview"].astype(float)
    assert picture[-20:].mean() > picture[:12].mean() + 30


def test_pictures_have_the_asked_size(stack_scene, states):
    assert drawn(stack_scene, states[:1], width_px=96, height_px=64)[0]["agentview"].shape == (64, 96, 3)


def test_an_unknown_camera_names_the_known_ones(stack_scene):
    with pytest.raises(UnknownNameError, match="camera in the scene 'agentvew'; did you mean agentview"):
        Renderer(stack_scene.model, Pictures(cameras=("agentvew",)))


def test_a_size_that_cannot_be_drawn_is_an_error():
    with pytest.raises(ConfigError, match="16 to 4096 px"):
        Pictures(cameras=("agentview",), width_px=0)


def test_without_graphics_one_error_says_what_to_do():
    script = (
        "import mujoco\nfrom generators.simulation.stepping.render import Pictures, Renderer\n"
        "xml = '<mujoco><worldbody><camera name=\"a\"/></worldbody></mujoco>'\n"
        "Renderer(mujoco.MjModel.from_xml_string(xml), Pictures(cameras=('a',)))\n"
    )
    environment = {**os.environ, "MUJOCO_GL": "disabled"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert "GraphicsError: no headless graphics with MUJOCO_GL=disabled" in done.stderr
    assert "libosmesa6" in done.stderr
