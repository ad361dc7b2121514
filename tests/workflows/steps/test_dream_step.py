from pathlib import Path

import cv2
import numpy as np
import pytest

from storage.errors import ConfigError, MissingFileError
from storage.testing import tiny_dataset
from workflows.recipes.run_context import RunContext
from workflows.steps.dream import DreamStep, dream_job


def planned_items(root: Path, **settings: object) -> list[dict[str, object]]:
    step = DreamStep(source=str(root), **settings)  # type: ignore[arg-type]
    job = dream_job(RunContext(root=root.parent / "out"), step)
    return [dict(item) for unit in job.units for item in unit.items]


def test_clips_are_planned_in_units_and_more_than_there_are_frames_get_other_noise(tmp_path: Path) -> None:
    root = tiny_dataset(tmp_path / "data", units=1, episodes_per_unit=3).root
    job = dream_job(RunContext(root=tmp_path / "out"), DreamStep(source=str(root), count=7, clips_per_unit=4))
    assert [len(unit.items) for unit in job.units] == [4, 3]
    assert [item["number"] for unit in job.units for item in unit.items] == [0, 0, 0, 1, 1, 1, 2]


def test_plans_do_not_hold_the_path_of_their_source(tmp_path: Path) -> None:
    one, other = (tiny_dataset(tmp_path / name, units=1).root for name in ("one", "other"))
    assert planned_items(one) == planned_items(other)


def test_all_prompts_say_every_instruction_to_every_first_frame(tmp_path: Path) -> None:
    root = tiny_dataset(tmp_path / "data", units=1, episodes_per_unit=2).root
    assert len(planned_items(root, prompts="all")) == 2


def test_sources_that_cannot_be_used_say_what_would_help(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no data set or folder"):
        planned_items(tmp_path / "nowhere")
    with pytest.raises(MissingFileError, match="pyramid data import"):
        planned_items(tmp_path)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ConfigError, match="say by embodiment"):
        planned_items(tmp_path)
