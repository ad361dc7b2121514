"""A task of somebody else: one Python file around an environment class that knows nothing of ours."""

import textwrap
from dataclasses import replace

import numpy as np
import pytest

from generators.simulation.demonstrations.collect import collect
from generators.simulation.demonstrations.recordings import read_recordings, source_path, write_recordings
from generators.simulation.inspection.check import check_task
from generators.simulation.multiply import Multiply
from generators.simulation.multiply_config import MultiplyConfig
from generators.simulation.task.registry import find_task
from storage.ids import Randomness
from storage.outcomes import Kept

SOURCE = '''
    import numpy as np
    from robosuite.environments.manipulation.lift import Lift

    from generators.simulation.experts.lift import expert
    from generators.simulation.robots.panda import SIMULATED_PANDA
    from generators.simulation.task.specification import Placement, Subtask, Task


    class TallTable(Lift):
        """Written without a thought of ours: keeps its success in a method of robosuite's name only."""

        def _check_success(self):
            return bool(self.sim.data.body_xpos[self.cube_body_id][2] > self.table_offset[2] + 0.06)


    def object_poses(env):
        pose = np.eye(4)
        pose[:3, 3] = env.sim.data.body_xpos[env.cube_body_id]
        pose[:3, :3] = env.sim.data.body_xmat[env.cube_body_id].reshape(3, 3)
        return {"cube": pose}


    def signals(env):
        return {"held": env._check_grasp(gripper=env.robots[0].gripper["right"], object_geoms=env.cube)}


    TASKS = (
        Task(
            name="tall_lift",
            environment=f"{__name__}:TallTable",
            embodiment=SIMULATED_PANDA,
            instruction=("raise the cube", "take the cube up"),
            subtasks={"arm": (
                Subtask(
                    name="grasp", reference="cube", termination_signal="held", termination_offset=(2, 5), check="held"
                ),
                Subtask(name="raise", reference="cube"),
            )},
            object_poses=object_poses,
            signals=signals,
            placements={"D0": Placement(), "D1": Placement(arguments={"table_friction": (0.8, 5e-3, 1e-4)})},
            horizon=200,
            expert=expert,
            sources="tall_lift.hdf5",
        ),
    )
'''


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    (folder / "tall_lift.py").write_text(textwrap.dedent(SOURCE))
    task = find_task(str(folder / "tall_lift.py"))
    write_recordings(folder / "tall_lift.hdf5", task, collect(task, episodes=3))
    return str(folder / "tall_lift.py")


def test_a_task_of_one_file_is_multiplied(reference):
    stage = Multiply(MultiplyConfig(task=reference, size_px=0, placement="D1"))
    (outcomes,) = stage([{"first_attempt": 0, "attempts": 6, "keep_at_most": 2}], Randomness(0, "multiply"))
    kept = [outcome.episode for outcome in outcomes if isinstance(outcome, Kept)]
    assert len(kept) == 2
    assert kept[0].instruction in ("raise the cube", "take the cube up")


def test_its_check_finds_nothing_wrong(reference, tmp_path):
    found = check_task(find_task(reference), tmp_path, video=False)
    assert found.good, found.text
    assert any("3 of 3 source demonstrations" in note for note in found.notes)


def test_its_check_names_every_demonstration_that_does_not_replay(reference, tmp_path):
    task = find_task(reference)
    good, *others = read_recordings(source_path(task))
    idle = [replace(one, actions=np.zeros_like(one.actions)) for one in others]
    write_recordings(tmp_path / "mixed.hdf5", task, [good, *idle])
    found = check_task(replace(task, sources=tmp_path / "mixed.hdf5"), tmp_path, video=False)
    assert len(found.problems) == 2
    for problem, one in zip(found.problems, idle, strict=True):
        assert f"mixed.hdf5: {one.name}: replaying its actions does not end in success" in problem
    assert any("1 of 3 source demonstrations" in note for note in found.notes)
