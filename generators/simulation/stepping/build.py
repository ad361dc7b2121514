"""Building the environment of a task: once a worker and variant, without renderers, reset softly from then on."""

import inspect
import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any

import robosuite  # noqa: F401  (registers its environments and robots)
from robosuite.environments.base import REGISTERED_ENVS

from generators.simulation.stepping.meshes import lightened
from generators.simulation.stepping.randomness import seeded_defaults
from generators.simulation.task.execution import Quality
from generators.simulation.task.specification import Environment, Placement, Task
from storage.errors import ConfigError, UnknownNameError

logger = logging.getLogger(__name__)

CONTROL_HZ = 20
_SETTINGS: dict[str, Any] = {
    "seed": 0,
    "has_renderer": False,
    "has_offscreen_renderer": False,
    "use_camera_obs": False,
    "hard_reset": False,
    "ignore_done": True,
    "renderer": "mujoco",
    "control_freq": CONTROL_HZ,
}


def placement_of(task: Task, name: str) -> Placement:
    """The placement of a task called `name`; raises UnknownNameError."""
    try:
        return task.placements[name]
    except KeyError:
        raise UnknownNameError.among(f"placement of task {task.name!r}", name, task.placements) from None


def build_environment(
    task: Task, *, placement: str = "D0", variant: int = 0, quality: Quality = "fast", **more: Any
) -> Environment:
    """The task's environment, ready for soft resets. `variant` seeds what its model is built with; `more` are further
    arguments for its constructor.

    Raises ConfigError with the environment's own words when it cannot be built (unknown arguments, an MJCF that does
    not compile, a robot that does not fit).
    """
    chosen = placement_of(task, placement)
    make = environment_class(task)
    arguments = {
        **_settings_for(make, variant),
        "robots": list(task.embodiment.robots),
        **({"controller_configs": task.embodiment.controllers()} if task.embodiment.controllers else {}),
        **task.arguments,
        **chosen.make_arguments(),
        **more,
    }
    try:
        with lightened(quality), seeded_defaults(variant):
            environment = _made(make, arguments)
    except Exception as error:  # anybody's environment may raise anything
        text = f"the environment of task {task.name!r} cannot be built: {type(error).__name__}: {error}"
        hint = _hint(error) or f"check its arguments {sorted(arguments)} and its model"
        raise ConfigError(f"{text}; {hint}") from error
    if chosen.prepare:
        chosen.prepare(environment)
    return environment


def _made(make: Callable[..., Environment], arguments: dict[str, Any]) -> Environment:
    """The environment; without `seed` where a constructor further up refuses it."""
    try:
        return make(**arguments)
    except TypeError as error:
        if "'seed'" not in str(error) or "seed" not in arguments:
            raise
    return make(**{name: value for name, value in arguments.items() if name != "seed"})


def _hint(error: Exception) -> str:
    if "WHOLE_BODY_MINK_IK" not in str(error):
        return ""
    return (
        "robosuite keeps that controller among its examples (robosuite/examples/third_party_controller, from its source"
        " tree; it needs the package mink), outside its wheel: import it in the task's file before the environment is"
        " made and use WholeBodyPoses of generators.simulation.robots.whole_body_poses, or take one of the GR-1s here:"
        " SIMULATED_GR1_POSES of that module (WHOLE_BODY_IK, in the wheel), or SIMULATED_GR1 of"
        " generators.simulation.robots.gr1 (joint targets from our own inverse kinematics)"
    )


def environment_class(task: Task) -> Callable[..., Environment]:
    """What makes the task's environment; raises UnknownNameError."""
    wanted = task.environment
    if not isinstance(wanted, str):
        return wanted
    if ":" not in wanted:
        if wanted not in REGISTERED_ENVS:
            hint = '(name one as "module:Class" when it is not registered with robosuite)'
            raise UnknownNameError.among("robosuite environment", wanted, REGISTERED_ENVS, hint=hint)
        environment: Callable[..., Environment] = REGISTERED_ENVS[wanted]
        return environment
    module, _, name = wanted.partition(":")
    try:
        environment = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UnknownNameError(f"task {task.name!r}: environment {wanted!r} is not importable: {error}") from error
    return environment


def _settings_for(make: Callable[..., Environment], variant: int) -> dict[str, Any]:
    """Our settings, less those that a foreign constructor does not take."""
    parameters, settings = inspect.signature(make).parameters, {**_SETTINGS, "seed": variant}
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return settings
    missing = sorted(settings.keys() - parameters.keys())
    if missing:
        logger.info("the environment takes no %s", ", ".join(missing))
    return {name: value for name, value in settings.items() if name in parameters}
