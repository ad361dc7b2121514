"""Simulated clips whose truth is known, for the starter judge and the starter detector.

Attempts are simulated once, without pictures. Every clip is then drawn from their states, the true ones or edited
ones: the object never leaves its place, falls on the way, ends beside its target, vanishes; the picture of the arm is
warped. What a clip shows is thereby known to the step. Frames of an episode are drawn once and shared by its clips.

    python -m benchmarks.judge.clips FOLDER    # collects and draws what the two starters are fitted to and measured on
"""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from generators.simulation.environments.tabletop_catalog import THINGS
from generators.simulation.multiply import Multiply
from generators.simulation.multiply_config import MultiplyConfig
from generators.simulation.stepping.render import Pictures, Renderer
from generators.simulation.stepping.scene import Scene, robot_geoms
from storage.episode import Episode
from storage.ids import Randomness, content_id
from storage.outcomes import Kept

log = logging.getLogger(__name__)
Array = NDArray[Any]
SIZE_PX, MOMENTS, HIDDEN_M = 128, 24, (0.0, 0.0, -5.0)
TRAINING_SEED, MORE_SEED, HELD_OUT_SEED = 11, 21, 77
"""The last fit of the judge takes more clips than the first."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One task as the judge sees it: through `camera`; `names` maps what is in the scene (body name) to what it is
    called; `thing` is the body that is moved."""

    task: str
    camera: str
    thing: str
    names: Mapping[str, str]


def _tabletop(thing: str, source: str, target: str) -> Scenario:
    names = {"object_root": thing, "source_root": source, "target_root": target}
    task = f"{thing}_from_{source}_to_{target}".replace(" ", "_")
    return Scenario(task=task, camera="ego_view", thing="object_root", names=names)


_CUBES = {"cubeA_main": "red cube", "cubeB_main": "green cube"}
SCENARIOS: tuple[Scenario, ...] = (
    Scenario(task="stack", camera="agentview", thing="cubeA_main", names=_CUBES),
    Scenario(task="stack_green_on_red", camera="agentview", thing="cubeB_main", names=_CUBES),
    Scenario(task="lift", camera="agentview", thing="cube_main", names={"cube_main": "red cube"}),
    _tabletop("apple", "plate", "bowl"),
    _tabletop("cup", "placemat", "plate"),
    _tabletop("lemon", "tray", "bowl"),
)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The pictures of one episode. `frames` (N, H, W, 3) of which the first `MOMENTS` are the true ones, evenly over
    the episode; `boxes` (MOMENTS, K, 5) of the K `names`: x0, y0, x1, y1 in pixels and visible pixels. `clips` maps
    what a clip shows to the numbers of its frames in order; `moved` is when the thing leaves, is held and rests, as
    moments."""

    task: str
    instruction: str
    succeeded: bool
    failure: str
    names: tuple[str, ...]
    frames: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    clips: Mapping[str, tuple[int, ...]]
    moved: tuple[int, int]


def draw(scenario: Scenario, *, attempts: int, seed: int) -> Iterator[Drawn]:
    """Simulate `attempts` attempts (successes and failures) and draw their clips."""
    stage = Multiply(MultiplyConfig(task=scenario.task, size_px=0, keep_failed=True))
    for number in range(attempts):
        ((outcome,),) = stage([{"first_attempt": number}], Randomness(seed, "judge_clips"))
        if isinstance(outcome, Kept):
            scene = stage._generator(outcome.episode.provenance["simulation"]["variant"]).scene
            yield _Artist(scenario, scene).draw(outcome.episode, np.random.default_rng([seed, number]))


class _Artist:
    """Draws the states of one scenario's scene, as colour and as segmentation."""

    _made: ClassVar[dict[int, Renderer]] = {}

    def __init__(self, scenario: Scenario, scene: Scene) -> None:
        self.scenario, self.scene, self.model = scenario, scene, scene.model
        pictures = Pictures(cameras=(scenario.camera,), width_px=SIZE_PX, height_px=SIZE_PX)
        if id(self.model) not in self._made:
            self._made[id(self.model)] = Renderer(self.model, pictures)
        self.renderer = self._made[id(self.model)]
        bodies = {name: _body(self.model, name) for name in scenario.names}
        self.named = [(text, _geoms(self.model, bodies[name])) for name, text in scenario.names.items()]
        for number, name in enumerate(getattr(scene.environment, "_distractor_names", ())):
            self.named.append((THINGS[name].text, _geoms(self.model, _body(self.model, f"distractor{number}_root"))))
        self.named.append(("robot arm", _robot(self.model)))
        self.place = slice(*_position(self.model, bodies[scenario.thing]))

    def draw(self, episode: Episode, rng: np.random.Generator) -> Drawn:
        states = episode.arrays["simulation/state"]
        moments = np.linspace(0, len(states) - 1, MOMENTS).round().astype(int)
        true = states[moments].copy()
        look, before = self.scene.task.visual_randomization, self.scene.model_state.changes()
        if look:
            look(self.model, rng)
        frames, masks = self._pictures(true)
        leaves, rests = _travel(true[:, 1:][:, self.place])
        clips: dict[str, tuple[int, ...]] = {"whole": tuple(range(MOMENTS))}
        for shown, edited in self._edits(true, leaves, rests, rng).items():
            changed = np.flatnonzero((edited != true).any(axis=1))
            pictures, _ = self._pictures(edited[changed])
            order = np.arange(MOMENTS)
            order[changed] = len(frames) + np.arange(len(changed))
            clips[shown] = tuple(order.tolist())
            frames = np.concatenate([frames, pictures])
        warped, order = _warped(frames[:MOMENTS], masks[:, -1], rng)
        clips["warped"] = tuple(np.where(order < 0, np.arange(MOMENTS), len(frames) + order).tolist())
        frames = np.concatenate([frames, warped])
        self.scene.model_state.put(before)
        return Drawn(
            task=self.scenario.task,
            instruction=episode.instruction,
            succeeded=bool(episode.provenance["generation"]["success"]),
            failure=str(episode.verdicts[0].get("reason", "")) if episode.verdicts else "",
            names=tuple(text for text, _ in self.named),
            frames=frames,
            boxes=np.array([[_box(mask) for mask in row] for row in masks], np.float32),
            clips=clips,
            moved=(leaves, rests),
        )

    def _pictures(self, states: Array) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Colour (n, H, W, 3) and masks (n, K, H, W) of states."""
        colour = [each[self.scenario.camera] for each in self.renderer.frames(states)]
        import mujoco  # the generator says first how it is to draw

        inner = self.renderer._renderer
        inner.enable_segmentation_rendering()
        kinds = [each[self.scenario.camera].copy() for each in self.renderer.frames(states)]
        inner.disable_segmentation_rendering()
        geoms = [np.where(kind[..., 1] == mujoco.mjtObj.mjOBJ_GEOM, kind[..., 0], -1) for kind in kinds]
        masks = [[np.isin(geom, list(mine)) for _, mine in self.named] for geom in geoms]
        return np.array(colour, np.uint8).reshape(-1, SIZE_PX, SIZE_PX, 3), np.array(masks, bool)

    def _edits(self, true: Array, leaves: int, rests: int, rng: np.random.Generator) -> dict[str, Array]:
        """What a clip shows -> its states."""
        if rests <= leaves:  # nothing moved: a failed attempt needs no edits
            return {"vanished": self._hidden(true, int(rng.integers(4, MOMENTS - 3)))}
        place = slice(1 + self.place.start, 1 + self.place.stop)
        still, dropped, beside = true.copy(), true.copy(), true.copy()
        still[:, place] = true[0, place]
        fall = int(rng.integers(leaves + 1, max(leaves + 2, (leaves + rests) // 2 + 1)))
        dropped[fall:, place] = true[fall, place]
        dropped[fall:, place.start + 2] = true[0, place.start + 2]
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.12, 0.2)
        late = max(leaves + 1, rests - 1)
        beside[late:, place] = true[-1, place]
        beside[late:, place.start : place.start + 2] += far * np.array([np.cos(angle), np.sin(angle)])
        beside[late:, place.start + 2] = true[0, place.start + 2]
        vanished = self._hidden(true, int(rng.integers(4, MOMENTS - 3)))
        return {"not moved": still, "dropped": dropped, "beside": beside, "vanished": vanished}

    def _hidden(self, true: Array, begin: int) -> Array:
        gone = true.copy()
        gone[begin:, 1 + self.place.start : 4 + self.place.start] = HIDDEN_M
        return gone


def _travel(positions: Array) -> tuple[int, int]:
    """The moments at which a thing has left its place and comes to rest; equal where it never moves by 2 cm."""
    far = np.linalg.norm(positions[:, :3] - positions[0, :3], axis=1) > 0.02
    moving = np.linalg.norm(np.diff(positions[:, :3], axis=0), axis=1) > 0.004
    leaves = int(far.argmax()) if far.any() else 0
    rests = int(np.flatnonzero(moving).max()) + 1 if moving.any() else 0
    return (leaves, rests) if far.any() and rests > leaves else (0, 0)


def _warped(frames: Array, arm: Array, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The frames of a run in which the arm is pulled out of shape, and their order (-1: as it was)."""
    order = np.full(len(frames), -1)
    begin = int(rng.integers(3, len(frames) - 5))
    bent: list[Array] = []
    for moment in range(begin, int(rng.integers(begin + 4, len(frames) + 1))):
        ys, xs = np.nonzero(arm[moment])
        if not len(ys):
            continue
        at = int(rng.integers(len(ys)))
        order[moment] = len(bent)
        bent.append(bend(frames[moment], (int(xs[at]), int(ys[at])), rng))
    return np.array(bent, np.uint8).reshape(-1, *frames.shape[1:]), order


def bend(frame: Array, at: tuple[int, int], rng: np.random.Generator) -> Array:
    """`frame` (H, W, 3) with what is around the pixel `at` (x, y) pulled out of shape."""
    grid_y, grid_x = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(np.float32)
    reach = np.exp(-((grid_y - at[1]) ** 2 + (grid_x - at[0]) ** 2) / (2 * rng.uniform(12, 22) ** 2))
    phase, amount = rng.uniform(0, 2 * np.pi), rng.uniform(6, 12)
    dx = (amount * reach * np.sin(grid_y / rng.uniform(3, 6) + phase)).astype(np.float32)
    dy = (amount * reach * np.cos(grid_x / rng.uniform(3, 6) + phase)).astype(np.float32)
    moved: Array = cv2.remap(frame, grid_x + dx, grid_y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return moved


def _box(mask: Array) -> tuple[float, ...]:
    ys, xs = np.nonzero(mask)
    return (0.0,) * 5 if not len(ys) else (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, len(ys))


def _body(model: Any, name: str) -> int:
    return int(model.body(name).id)


def _geoms(model: Any, body: int) -> frozenset[int]:
    parents = {int(child) for child in range(model.nbody) if body in _ancestors(model, child)}
    return frozenset(np.flatnonzero(np.isin(model.geom_bodyid, list(parents))).tolist())


def _ancestors(model: Any, body: int) -> set[int]:
    ancestors = {body}
    while body:
        body = int(model.body_parentid[body])
        ancestors.add(body)
    return ancestors


def _robot(model: Any) -> frozenset[int]:
    return frozenset(np.flatnonzero(robot_geoms(model)).tolist())


def _position(model: Any, body: int) -> tuple[int, int]:
    start = int(model.jnt_qposadr[model.body_jntadr[body]])
    return start, start + 7


def collect(folder: Path, *, attempts: int, seed: int, scenarios: Sequence[Scenario] = SCENARIOS) -> list[Path]:
    """Draw every scenario into one file each, unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for scenario in scenarios:
        path = folder / f"{scenario.task}-{seed}-{content_id(attempts)[:6]}.npy"
        if not path.exists():
            np.save(path, np.array(list(draw(scenario, attempts=attempts, seed=seed)), dtype=object), allow_pickle=True)
            log.info("%s", path)
        paths.append(path)
    return paths


def load(paths: Sequence[Path]) -> list[Drawn]:
    """Everything that `collect` wrote."""
    return [drawn for path in paths for drawn in np.load(path, allow_pickle=True)]


def main() -> None:
    # by its own name: what is pickled from `__main__` loads nowhere else
    from benchmarks.judge.clips import collect as collected

    logging.basicConfig(level=logging.INFO)
    collected(Path(sys.argv[1]), attempts=48, seed=TRAINING_SEED)
    collected(Path(sys.argv[1]), attempts=96, seed=MORE_SEED)
    collected(Path(sys.argv[1]), attempts=16, seed=HELD_OUT_SEED)


if __name__ == "__main__":
    main()
