"""The stage `RollOut`: numbers of scenes in, what a policy did in them out, every one as an episode with a verdict.

The policy is asked over the network, so that many simulators share one model and none of them loads torch.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.simulation.mimicgen.attempt import AttemptResult
from generators.simulation.mimicgen.episode_builder import VISUAL_STREAM, EpisodeMaker
from generators.simulation.rollouts.roll_out_config import RollOutConfig
from generators.simulation.stepping import snapshot
from generators.simulation.stepping.build import placement_of
from generators.simulation.stepping.render import Pictures, Renderer
from generators.simulation.stepping.scene import Scene, Scenes
from generators.simulation.task.registry import find_task
from groot.serving.client import GrootClient
from groot.serving.observation import Observation, Policy
from storage.embodiment import Layout, embodiment_named
from storage.errors import BrokenSimulationError, ConfigError
from storage.ids import Randomness, content_id
from storage.outcomes import Dropped, Kept, Outcome

logger = logging.getLogger(__name__)
FAILED = "no success within the horizon"
_SCENES = Randomness(0, "roll_out")
"""Scenes do not follow from a run's seed: scene 7 is scene 7 for every policy and every run."""


class RollOut:
    """Holds the task's scenes and the connection to the policy; made once a worker."""

    def __init__(self, config: RollOutConfig, policy: Policy | None = None) -> None:
        self.config = config
        self.task = find_task(config.task)
        placement_of(self.task, config.placement)
        self._also = {name: find_task(name) for name in config.also_check}
        self._scenes = Scenes(self.task, quality=config.quality)
        self._players: dict[int, _Player] = {}
        self._client: GrootClient | None = None
        if policy is None:
            self._client = GrootClient(
                config.server(), version=config.protocol, token=config.token, timeout_s=config.timeout_s
            )
        self._policy: Policy = policy or self._client  # type: ignore[assignment]

    def __call__(self, items: Sequence[Mapping[str, Any]], randomness: Randomness) -> list[list[Outcome]]:
        """One roll-out for each item {"scene": number}."""
        return [[self._roll_out(item)] for item in items]

    def close(self) -> None:
        """Close the connection to the policy."""
        if self._client is not None:
            self._client.close()

    def _roll_out(self, item: Mapping[str, Any]) -> Outcome:
        number = item.get("scene")
        if item.keys() != {"scene"} or not isinstance(number, int) or number < 0:
            raise ConfigError(f'an item of roll_out is {{"scene": number, 0 or more}}; got {dict(item)}')
        seed = _SCENES.seed_of(f"{self.task.name}/{self.config.placement}/{number}")
        identity = content_id("roll_out", self.task.name, self.task.version, _identity(self.config), number)
        player = self._player(seed % self.task.variants)
        try:
            attempt, done = player.play(self._policy, seed)
        except BrokenSimulationError as error:
            return Dropped(episode_id=identity, reason="broken simulation", detail={"cause": str(error)})
        about = {
            "task": self.task.name,
            "placement": self.config.placement,
            "scene": number,
            "seed": seed,
            "policy": self.config.policy,
            "success": attempt.succeeded,
            "also": done,
            "rolled_out": True,
        }
        return Kept(player.maker.episode(attempt, episode_id=identity, about=about))

    def _player(self, variant: int) -> "_Player":
        if variant not in self._players:
            scene = self._scenes(self.config.placement, variant)
            self._players[variant] = _Player(scene, self.config, self._also)
        return self._players[variant]


class _Player:
    """One scene in which a policy acts."""

    def __init__(self, scene: Scene, config: RollOutConfig, also: Mapping[str, Any]) -> None:
        self.scene, self.config, self.also = scene, config, also
        pictures = Pictures(
            cameras=scene.task.cameras, width_px=config.size_px, height_px=config.size_px, quality=config.quality
        )
        self.maker = EpisodeMaker(scene, pictures, codec=config.codec, instruction=config.instruction)
        self._renderer = Renderer(scene.model, pictures)
        embodiment = embodiment_named(scene.task.embodiment.name)
        self._state_layout, self._action_layout = embodiment.state, embodiment.action
        low, high = scene.environment.action_spec
        self._low, self._high = np.asarray(low, np.float32), np.asarray(high, np.float32)

    def play(self, policy: Policy, seed: int) -> tuple[AttemptResult, dict[str, bool]]:
        """A whole roll-out, and which of the other tasks were done in it."""
        scene, config = self.scene, self.config
        scene.reset(seed)
        initial = snapshot.to_record(scene.environment, scene.snapshot())
        instruction = self.maker.instruction_of(seed)
        states: list[NDArray[np.float64]] = []
        actions: list[NDArray[np.float32]] = []
        held = 0
        done = dict.fromkeys(self.also, False)
        while len(actions) < config.horizon and held < config.hold_steps:
            chunk = self._asked(policy, instruction, seed, step=len(actions))
            for vector in chunk[: min(config.execute_steps, config.horizon - len(actions))]:
                action = np.clip(scene.actuation.recorded(vector), self._low, self._high)
                states.append(_state_of(scene))
                actions.append(action)
                scene.step(action)
                held = held + 1 if scene.succeeded() else 0
                for name, task in self.also.items():
                    done[name] = done[name] or bool(task.success(scene.environment))
                if held == config.hold_steps:
                    break
        succeeded = held >= config.hold_steps
        attempt = AttemptResult(
            seed=seed,
            failure="" if succeeded else FAILED,
            detail="" if succeeded else f"{len(actions)} steps",
            actions=np.stack(actions),
            states=np.stack(states),
            initial=initial,
            subtasks=(),
            retries=0,
            steps_simulated=len(actions),
        )
        return attempt, done

    def _asked(self, policy: Policy, instruction: str, seed: int, *, step: int) -> NDArray[np.float32]:
        """The policy's chunk (H, D) in the embodiment's layout."""
        observation = Observation(
            images=self._pictures(policy, seed), state=self._state(policy), instruction=instruction
        )
        parts = policy.act(observation, seed=(seed + step) % 2**31)
        if not (chunk := _joined(parts, self._action_layout)).size:
            raise ConfigError(
                f"the policy gives the action parts {sorted(parts)}; this task needs"
                f" {sorted(self._action_layout.slices())}"
            )
        if not np.isfinite(chunk).all():
            raise BrokenSimulationError(f"the policy gave an action that is not finite at step {step}")
        return chunk

    def _state(self, policy: Policy) -> dict[str, NDArray[Any]]:
        vector = self.scene.task.embodiment.state(self.scene.environment)
        return {part: vector[span] for part, span in self._state_layout.slices().items() if part in policy.info.state}

    def _pictures(self, policy: Policy, seed: int) -> dict[str, NDArray[np.uint8]]:
        """Each view of the policy from the first of its cameras that the scene has."""
        look = self.scene.task.visual_randomization
        before = self.scene.model_state.changes() if look else {}
        if look:
            look(self.scene.model, np.random.default_rng([seed, VISUAL_STREAM]))
        drawn = next(self._renderer.frames(_state_of(self.scene)[None]))
        if look:
            self.scene.model_state.put(before)
        pictures = {}
        for view, cameras in policy.info.views.items():
            camera = next((name for name in cameras if name in drawn), None)
            if camera is None:
                raise ConfigError(
                    f"view {view!r} of the policy wants one of {cameras}; the scene draws {sorted(drawn)}"
                )
            pictures[view] = np.ascontiguousarray(drawn[camera])
        return pictures


def _state_of(scene: Scene) -> NDArray[np.float64]:
    data = scene.data
    state: NDArray[np.float64] = np.concatenate([[data.time], data.qpos, data.qvel])
    return state


def _joined(parts: Mapping[str, NDArray[Any]], layout: Layout) -> NDArray[np.float32]:
    """Action parts as chunks of the embodiment's vector (H, D); empty where a part is missing or has another size."""
    slices = layout.slices()
    if set(parts) != set(slices):
        return np.empty((0, 0), np.float32)
    chunk = np.concatenate([np.asarray(parts[name], np.float32) for name in slices], axis=-1)
    return chunk if chunk.ndim == 2 and chunk.shape[1] == layout.size else np.empty((0, 0), np.float32)


def _identity(config: RollOutConfig) -> dict[str, Any]:
    own = ("policy", "execute_steps", "horizon", "hold_steps", "placement", "instruction", "also_check", "size_px")
    return {name: getattr(config, name) for name in (*own, "quality", "codec")}
