from dataclasses import replace

import mujoco
import numpy as np
import pytest

from generators.simulation.stepping.meshes import lightened_xml
from generators.simulation.stepping.scene import Scene
from generators.simulation.stepping.snapshot import state_row
from generators.simulation.task.registry import find_task
from storage.errors import ConfigError


def tetrahedral_sphere(path, count: int = 6) -> int:
    """Write an OBJ sphere of many faces; returns their number."""
    from scipy.spatial import ConvexHull

    points = np.random.default_rng(0).normal(size=(400 * count // 6, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    hull = ConvexHull(points)
    lines = [f"v {x} {y} {z}" for x, y, z in points] + [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in hull.simplices]
    path.write_text("\n".join(lines))
    return len(hull.simplices)


def scene_xml(path, *, group: int = 1, contype: int = 0) -> str:
    return f"""<mujoco><asset><mesh name="ball" file="{path}"/></asset><worldbody><body><freejoint/>
    <geom type="sphere" size="1" group="0"/>
    <geom type="mesh" mesh="ball" group="{group}" contype="{contype}" conaffinity="0"/></body></worldbody></mujoco>"""


@pytest.mark.parametrize(("group", "contype", "lighter"), [(1, 0, True), (0, 0, False), (1, 1, False)])
def test_only_meshes_without_contact_and_inertia_are_decimated(tmp_path, monkeypatch, group, contype, lighter):
    monkeypatch.setenv("PYRAMID_CACHE", str(tmp_path / "cache"))
    faces = tetrahedral_sphere(tmp_path / "ball.obj")
    xml = scene_xml(tmp_path / "ball.obj", group=group, contype=contype)
    model = mujoco.MjModel.from_xml_string(lightened_xml(xml))
    assert (model.nmeshface < faces) == lighter


def test_a_decimated_mesh_keeps_its_shape_and_place(tmp_path, monkeypatch):
    monkeypatch.setenv("PYRAMID_CACHE", str(tmp_path / "cache"))
    tetrahedral_sphere(tmp_path / "ball.obj")
    model = mujoco.MjModel.from_xml_string(lightened_xml(scene_xml(tmp_path / "ball.obj")))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    corners = data.geom_xpos[1] + model.mesh_vert @ data.geom_xmat[1].reshape(3, 3).T
    np.testing.assert_allclose(np.linalg.norm(corners, axis=1), 1.0, atol=0.06)


def test_meshes_are_decimated_once_and_then_read(tmp_path, monkeypatch):
    monkeypatch.setenv("PYRAMID_CACHE", str(tmp_path / "cache"))
    tetrahedral_sphere(tmp_path / "ball.obj")
    first = lightened_xml(scene_xml(tmp_path / "ball.obj"))
    (kept,) = (tmp_path / "cache" / "meshes").glob("*.obj")
    written = kept.stat().st_mtime_ns
    assert lightened_xml(scene_xml(tmp_path / "ball.obj")) == first
    assert kept.stat().st_mtime_ns == written


def test_the_loader_is_its_own_again_after_building():
    before = mujoco.MjModel.from_xml_string
    with pytest.raises(ConfigError, match="cannot be built"):
        Scene(replace(find_task("stack"), arguments={"wings": 2}))
    assert mujoco.MjModel.from_xml_string is before


def test_physics_does_not_depend_on_the_meshes(stack_scene):
    full = Scene(find_task("stack"), quality="full")
    assert full.model.nmeshface > 4 * stack_scene.model.nmeshface
    rng = np.random.default_rng(0)
    for scene in (stack_scene, full):
        scene.reset(5)
    for action in rng.uniform(-1, 1, (40, 7)).astype(np.float32):
        stack_scene.step(action)
        full.step(action)
    np.testing.assert_array_equal(state_row(stack_scene.environment), state_row(full.environment))
