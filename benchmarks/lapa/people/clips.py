"""Data sets of simulated people: takes drawn through the camera of the head, with the state of `human_hands`.

    python -m benchmarks.lapa.people.clips FOLDER CLIPS SEED

The layer is `simulation`: no person was recorded.
"""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.lapa.people.motion import Person, person
from benchmarks.lapa.people.scene import BONES, FINGERS, SIDES, scene_xml
from generators.simulation import check_graphics
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.formats.hand_poses.action import hand_state
from storage.formats.hand_poses.lifted import with_axes_of_the_wrist
from storage.formats.hand_poses.poses import HandPoses
from storage.frames import Frames
from storage.ids import content_id
from storage.testing import write_unit

SIZE_PX, RATE_HZ, STEPS = 96, 20.0, 80
CAMERA, EMBODIMENT = "head", "human_hands"
IN_UNIT = 20
LOOKS = np.diag([1.0, -1.0, -1.0, 1.0])
"""From a camera of MuJoCo, which looks along -z with y up, to one with z forward and y down."""


def people_dataset(folder: Path, clips: int, *, seed: int) -> Dataset:
    """`clips` takes of four seconds, made unless they are there."""
    if not (folder / "dataset.json").exists():
        partial = folder.with_name(f"{folder.name}.partial")
        Dataset.create(partial, name=folder.name)
        made = episodes(clips, seed=seed)
        for _ in range(0, clips, IN_UNIT):
            write_unit(partial, islice(made, IN_UNIT), job="people")
        partial.rename(folder)
    return Dataset.open(folder)


def episodes(clips: int, *, seed: int) -> Iterator[Episode]:
    """Take after take; number n of a seed is always the same."""
    for number in range(clips):
        random = np.random.default_rng([seed, number])
        objects = int(random.integers(3, 9))
        yield _episode(random, objects, content_id("people", seed, number), f"{seed}/{number}")


def _episode(random: np.random.Generator, objects: int, episode_id: str, named: str) -> Episode:
    check_graphics()  # its package tells MuJoCo how to draw, which must come before the import of MuJoCo
    import mujoco

    xml, textures = scene_xml(random, objects)
    model = mujoco.MjModel.from_xml_string(xml, assets=textures)
    take = person(random, steps=STEPS, rate_hz=RATE_HZ, objects=objects)
    positions = _positions(model, take)
    images, joints = _drawn(model, positions)
    return Episode(
        episode_id=episode_id,
        layer="simulation",
        embodiment=EMBODIMENT,
        length=STEPS,
        rate_hz=RATE_HZ,
        instruction="work with the things on the table",
        cameras={CAMERA: Frames.encode(images)},
        arrays={"state": hand_state(_poses(take, joints), "columns")},
        provenance={"source": {"kind": "simulated people", "take": named, "head": take.manner}},
    )


def _positions(model: Any, take: Person) -> NDArray[np.float64]:
    """(T, nq): where everything is at every step."""
    rows = np.tile(model.qpos0, (STEPS, 1))
    bodies = {"head": take.head, **dict(zip(SIDES, take.hands, strict=True))}
    bodies |= {f"object{number}": poses for number, poses in enumerate(take.objects)}
    for name, poses in bodies.items():
        first = model.jnt_qposadr[model.body(name).jntadr[0]]
        rows[:, first : first + 3] = poses[:, :3, 3]
        rows[:, first + 3 : first + 7] = _quaternions(poses[:, :3, :3])
    for side, curl in zip(SIDES, take.curl, strict=True):
        for finger in FINGERS:
            most = 0.7 if finger == "thumb" else 1.4
            for bone in range(BONES - 1):
                rows[:, model.joint(f"{side}_{finger}{bone}").qposadr[0]] = most * curl
    return rows


def _quaternions(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    quaternions: NDArray[np.float64] = np.roll(Rotation.from_matrix(matrices).as_quat(), 1, axis=1)
    return quaternions


def _drawn(model: Any, positions: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Pictures (T, H, W, 3), and the joints of both hands in the world (T, 2, 21, 3)."""
    import mujoco

    from generators.simulation.stepping.render import Pictures, Renderer

    names = [[side, *(f"{side}_{finger}{bone}" for finger in FINGERS for bone in range(BONES))] for side in SIDES]
    bodies = np.array([[model.body(name).id for name in each] for each in names])
    data = mujoco.MjData(model)
    joints = []
    for row in positions:
        data.qpos[:] = row
        mujoco.mj_kinematics(model, data)
        joints.append(data.xpos[bodies])
    renderer = Renderer(model, Pictures(cameras=(CAMERA,), width_px=SIZE_PX, height_px=SIZE_PX))
    states = np.concatenate([np.zeros((len(positions), 1)), positions, np.zeros((len(positions), model.nv))], axis=1)
    images = np.stack([pictures[CAMERA] for pictures in renderer.frames(states)])
    renderer.close()
    return images, np.array(joints)


def _poses(take: Person, joints: NDArray[np.float64]) -> HandPoses:
    return HandPoses(
        joints=with_axes_of_the_wrist(joints),
        camera=take.head @ LOOKS,
        intrinsic=np.eye(3),
        size_px=(SIZE_PX, SIZE_PX),
        confidence=np.ones((len(joints), 2), np.float32),
        wrists_only=True,
    )


if __name__ == "__main__":
    people_dataset(Path(sys.argv[1]), int(sys.argv[2]), seed=int(sys.argv[3]))
