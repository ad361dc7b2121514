"""Whether an environment's scenes follow from their seeds: built twice, reset twice, stepped twice, all the same.

What differs makes every promise of this generator false (a job that goes on elsewhere, a replay), so a job on somebody
else's environment begins with this test.
"""

import numpy as np

from generators.simulation.stepping.scene import Scene
from generators.simulation.stepping.snapshot import state_row
from generators.simulation.task.specification import Task
from storage.errors import ConfigError

_SEEDS = (0, 7)
_STEPS = 3
_HINT = (
    "it draws from the clock, the operating system or a generator that cannot be found, or keeps something from one"
    " build or episode to the next; let it draw from env.rng (robosuite's), numpy.random or a generator that is an"
    " attribute of the environment"
)


def check_determinism(task: Task, scene: Scene) -> None:
    """Raise ConfigError, with what differs, unless a second environment of the same variant and placement has the same
    model, the same scenes after resets with equal seeds, and the same states after a few equal actions."""
    twin = Scene(task, placement=scene.placement_name, variant=scene.variant, quality=scene.quality)
    for name in scene.model_state.differing(twin.model_state):
        raise ConfigError(f"task {task.name!r}: variant {scene.variant} built twice differs in {name}: {_HINT}")
    for seed in _SEEDS:
        scene.reset(seed)
        first = state_row(scene.environment)
        scene.reset(seed + 100)
        scene.reset(seed)
        twin.reset(seed)
        for other, when in ((scene, "two resets with one seed differ"), (twin, "one seed gives two scenes")):
            if not np.array_equal(first, state_row(other.environment)):
                raise ConfigError(f"task {task.name!r}, placement {scene.placement_name}: {when}: {_HINT}")
        if not np.array_equal(_stepped(scene), _stepped(twin)):
            raise ConfigError(f"task {task.name!r}: equal actions from equal states lead apart: {_HINT}")


def _stepped(scene: Scene) -> np.ndarray:  # type: ignore[type-arg]
    low, high = scene.environment.action_spec
    for _ in range(_STEPS):
        scene.step(((np.asarray(low) + np.asarray(high)) / 2).astype(np.float32))
    return state_row(scene.environment)
