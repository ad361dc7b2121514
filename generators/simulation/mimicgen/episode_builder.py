"""From a recorded attempt to an episode: states and actions in the embodiment's layout, pictures, provenance."""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from generators.simulation.mimicgen.attempt import AttemptResult
from generators.simulation.stepping.build import placement_of
from generators.simulation.stepping.render import Pictures, Renderer
from generators.simulation.stepping.scene import Scene
from generators.simulation.task.specification import Environment
from storage.episode import Episode
from storage.frames import Frames, frame_codec

VISUAL_STREAM = 3
_VERSIONS = {package: version(package) for package in ("mujoco", "robosuite", "numpy")}


class EpisodeMaker:
    """Makes episodes of the attempts of one scene. Call it right after the attempt: fixtures that a reset moved are
    taken from the scene's model."""

    def __init__(self, scene: Scene, pictures: Pictures | None, *, codec: str = "jpeg", instruction: str = "") -> None:
        """`instruction` replaces the task's where it is given."""
        self._scene, self._pictures, self._codec, self._told = scene, pictures, codec, instruction
        self._renderer = Renderer(scene.model, pictures) if pictures else None

    def episode(self, attempt: AttemptResult, *, episode_id: str, about: Mapping[str, Any]) -> Episode:
        """The attempt as an episode; `about` goes into its provenance as "generation"."""
        scene, task = self._scene, self._scene.task
        instruction = self.instruction_of(attempt.seed)
        arrays: dict[str, NDArray[Any]] = {
            "state": self._states(attempt),
            "action/ground_truth": np.stack([scene.actuation.record(action) for action in attempt.actions]),
            "simulation/state": attempt.states,
        }
        cameras, look = self._film(attempt)
        provenance = {
            "generation": {**about, "subtasks": [dict(one) for one in attempt.subtasks], "retries": attempt.retries},
            "simulation": {
                "initial": attempt.initial,
                "variant": scene.variant,
                "placement": scene.placement_name,
                "seed": attempt.seed,
                "look": look,
                "versions": _VERSIONS,
            },
            "env_args": environment_arguments(scene),
        }
        verdict = {
            "judge": "simulation",
            "pass": attempt.succeeded,
            "reason": attempt.failure,
            "detail": attempt.detail,
        }
        return Episode(
            episode_id=episode_id,
            layer="simulation",
            embodiment=task.embodiment.name,
            length=len(attempt.actions),
            rate_hz=scene.rate_hz,
            instruction=instruction,
            cameras=cameras,
            arrays=arrays,
            verdicts=() if attempt.succeeded else (verdict,),
            provenance=provenance,
        )

    def instruction_of(self, seed: int) -> str:
        """What the arm is told to do in the scene of `seed`, as it is set now."""
        wanted = self._told or self._scene.task.instruction
        if callable(wanted):
            return wanted(self._scene.environment)
        return wanted if isinstance(wanted, str) else wanted[seed % len(wanted)]

    def _states(self, attempt: AttemptResult) -> NDArray[np.float32]:
        """The embodiment's state vector before every step, (T, D), read from the recorded states."""
        scene = self._scene
        rows = []
        for state in attempt.states:
            scene.data.time, scene.data.qpos[:] = state[0], state[1 : 1 + scene.model.nq]
            scene.data.qvel[:] = state[1 + scene.model.nq :]
            mujoco.mj_step1(scene.model, scene.data)
            rows.append(scene.task.embodiment.state(scene.environment))
        return np.stack(rows)

    def _film(self, attempt: AttemptResult) -> tuple[dict[str, Frames], Mapping[str, Any]]:
        if self._pictures is None or self._renderer is None:
            return {}, {}
        look: Mapping[str, Any] = {}
        if self._scene.task.visual_randomization:
            before = self._scene.model_state.changes()
            look = self._scene.task.visual_randomization(
                self._scene.model, np.random.default_rng([attempt.seed, VISUAL_STREAM])
            )
        encode = frame_codec(self._codec).encode
        payloads: dict[str, list[bytes]] = {name: [] for name in self._pictures.cameras}
        for pictures in self._renderer.frames(attempt.states):
            for name, picture in pictures.items():
                payloads[name].append(encode(picture))
        if self._scene.task.visual_randomization:
            self._scene.model_state.put(before)
        size = {"height_px": self._pictures.height_px, "width_px": self._pictures.width_px}
        return {name: Frames(payloads=frames, codec=self._codec, **size) for name, frames in payloads.items()}, look


def environment_arguments(scene: Scene) -> dict[str, Any]:
    """What robomimic calls `env_args`: how to make this environment again. Arguments that JSON cannot hold are named in
    `not_stored`; `demonstrations.rebuild` makes the environment from the provenance whatever they are."""
    task, embodiment = scene.task, scene.task.embodiment
    arguments = {
        "robots": list(embodiment.robots),
        "seed": scene.variant,
        **({"controller_configs": embodiment.controllers()} if embodiment.controllers else {}),
        **task.arguments,
        **placement_of(task, scene.placement_name).make_arguments(),
        "control_freq": _number(scene.rate_hz),
    }
    kwargs = {name: value for name, value in arguments.items() if _is_json(value)}
    options = {
        "env_name": _name_of(task.environment),
        "type": 1,
        "env_version": _VERSIONS["robosuite"],
        "env_kwargs": kwargs,
    }
    missing = sorted(arguments.keys() - kwargs.keys())
    return {**options, "not_stored": missing} if missing else options


def _name_of(made: str | Callable[..., Environment]) -> str:
    """What `robosuite.make` takes for an environment of robosuite's own, otherwise "module:Class"."""
    if isinstance(made, str):
        return made
    name = getattr(made, "__qualname__", type(made).__name__)
    return name if made.__module__.startswith("robosuite.environments.") else f"{made.__module__}:{name}"


def _number(rate_hz: float) -> float:
    return int(rate_hz) if rate_hz == int(rate_hz) else rate_hz


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
