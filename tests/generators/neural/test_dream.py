import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generators.neural.clip_shape import ClipShape
from generators.neural.dream import GenerateClips, drawn, fault_of
from generators.neural.dream_config import GenerateClipsConfig
from generators.neural.first_frames.reference import FirstFrame, frames_of_dataset, frames_of_folder, read_views
from generators.neural.models.interface import Image, Request, Sampling
from pipelines.catalog import CATALOG
from pipelines.testing.stage_contract import check_stage
from storage.errors import ConfigError, CorruptFileError, InputError, MissingFileError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept
from storage.testing import same_episode, tiny_dataset

Pipelines = Callable[[str], Path]
RANDOM = Randomness(7, "generate_clips")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tiny_dataset(
        tmp_path / "data",
        units=1,
        size_px=(32, 32),
        cameras=("left", "right", "wrist"),
        instruction="lift the red cube",
    ).root


def config(tiny_pipeline: Pipelines, source: Path, **more: Any) -> dict[str, Any]:
    return {
        "model": str(tiny_pipeline("wan 2.2 ti2v")),
        "source": str(source),
        "frames": 9,
        "size_px": (32, 32),
        "rate_hz": 5.0,
        "steps": 2,
        "options": {"dtype": "float32", "device": "cpu"},
        **more,
    }


def items(source: Path, *prompts: str, cameras: tuple[str, ...] = ("left",)) -> list[dict[str, Any]]:
    from storage.datasets.dataset import Dataset

    frames = frames_of_dataset(Dataset.open(source), count=2, cameras=cameras)
    return [{"frame": frame.to_json(), "prompts": list(prompts or ("lift the red cube",))} for frame in frames]


def kept(settings: Mapping[str, Any], wanted: list[dict[str, Any]]) -> list[Any]:
    outcomes = GenerateClips(GenerateClipsConfig(**settings))(wanted, RANDOM)
    assert all(isinstance(one, Kept) for (one,) in outcomes)
    return [one.episode for (one,) in outcomes if isinstance(one, Kept)]


def test_the_stage_keeps_the_law_of_stages(tiny_pipeline: Pipelines, source: Path) -> None:
    settings = config(tiny_pipeline, source, batch_size=1)
    found = check_stage(CATALOG["generate_clips"], settings, items(source))
    assert [len(outcomes) for outcomes in found] == [1, 1]


def test_a_clip_is_an_episode_that_says_all_that_made_it(tiny_pipeline: Pipelines, source: Path) -> None:
    wanted = items(source)
    episode = kept(config(tiny_pipeline, source), wanted)[0]
    made = episode.provenance["neural"]
    assert (episode.layer, episode.embodiment, episode.length, episode.rate_hz) == ("neural", "panda", 9, 5.0)
    assert "state" not in episode.arrays
    assert episode.parent_id == made["first_frame"]["episode"] == wanted[0]["frame"]["episode"]
    assert made["sampling"]["steps"] == 2
    assert made["model_hash"]
    assert made["parts"][0]["instruction"] == episode.instruction == "lift the red cube"


def test_a_clip_does_not_depend_on_what_the_folder_of_its_source_is_called(
    tiny_pipeline: Pipelines, source: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(source, tmp_path / "under another name")
    one, other = (kept(config(tiny_pipeline, each), items(each)) for each in (source, moved))
    assert all(map(same_episode, one, other))


def test_rounds_go_on_from_the_last_frame_and_say_which_instruction_holds_where(
    tiny_pipeline: Pipelines, source: Path
) -> None:
    settings = config(tiny_pipeline, source, codec="lossless")
    once = kept(settings, items(source, "lift the red cube"))[0]
    twice = kept(settings, items(source, "lift the red cube", "put the red cube on the plate"))[0]
    assert twice.length == 17
    assert np.array_equal(twice.cameras["left"].decode()[:9], once.cameras["left"].decode())
    assert [(part["first"], part["last"]) for part in twice.provenance["neural"]["parts"]] == [(0, 8), (8, 16)]
    assert twice.instruction == "lift the red cube, then put the red cube on the plate"


def test_views_of_a_grid_come_back_as_cameras(tiny_pipeline: Pipelines, source: Path) -> None:
    cameras = ("left", "right", "wrist")
    episode = kept(config(tiny_pipeline, source), items(source, cameras=cameras))[0]
    assert {name: (frames.height_px, frames.width_px) for name, frames in episode.cameras.items()} == dict.fromkeys(
        cameras, (16, 16)
    )


def test_an_own_lora_and_another_seed_are_other_episodes(tiny_pipeline: Pipelines, source: Path) -> None:
    stage = GenerateClips(GenerateClipsConfig(**config(tiny_pipeline, source)))
    ((one,), _), ((other,), _) = stage(items(source), RANDOM), stage(items(source), Randomness(8, "generate_clips"))
    assert isinstance(one, Kept)
    assert isinstance(other, Kept)
    assert one.episode.episode_id != other.episode.episode_id


def test_a_first_frame_of_another_aspect_ratio_is_refused_unless_it_is_said_what_to_do(
    tiny_pipeline: Pipelines, source: Path
) -> None:
    wide = config(tiny_pipeline, source, size_px=(32, 48))
    with pytest.raises(InputError, match="another aspect ratio"):
        GenerateClips(GenerateClipsConfig(**wide))(items(source), RANDOM)
    assert kept({**wide, "fit": "pad"}, items(source))[0].cameras["left"].width_px == 48


def test_a_source_that_is_gone_or_changed_is_said(source: Path, tmp_path: Path) -> None:
    frame = FirstFrame.from_json(items(source)[0]["frame"])
    moved = Path(shutil.move(source, tmp_path / "moved"))
    assert read_views(frame, moved)["left"].shape == (32, 32, 3)
    with pytest.raises(MissingFileError, match="moved or deleted"):
        read_views(frame, source)
    other = FirstFrame.from_json({**frame.to_json(), "sha256": "0"})
    with pytest.raises(InputError, match="holds another picture"):
        read_views(other, moved)


def test_a_picture_that_does_not_decode_is_said(tmp_path: Path) -> None:
    (tmp_path / "frame.png").write_bytes(b"no picture")
    (frame,) = frames_of_folder(tmp_path, embodiment="panda")
    with pytest.raises(CorruptFileError, match="does not decode"):
        read_views(frame, tmp_path)
    with pytest.raises(MissingFileError, match="holds no pictures"):
        frames_of_folder(tmp_path / "..", embodiment="panda")


class Sick:
    """A model that draws what it is told to, and runs out of memory with more than `most` clips."""

    def __init__(self, clip: Image, most: int = 99) -> None:
        self.clip, self.most, self.calls = clip, most, list[int]()

    def generate(self, requests: list[Request], _shape: ClipShape, _sampling: Sampling) -> list[Image]:
        self.calls.append(len(requests))
        if len(requests) > self.most:
            raise torch.OutOfMemoryError("out of memory")
        return [self.clip] * len(requests)

    def check_prompt(self, prompt: str) -> None:
        assert prompt


def test_nan_and_black_clips_are_dropped_with_their_reason(tiny_pipeline: Pipelines, source: Path) -> None:
    stage = GenerateClips(GenerateClipsConfig(**config(tiny_pipeline, source)))
    clip = np.full((9, 32, 32, 3), 0.5, np.float32)
    for sick, reason in ((clip * np.nan, "not finite"), (clip * 0, "black")):
        stage.model = Sick(sick)  # type: ignore[assignment]
        ((outcome,), _) = stage(items(source, "lift the red cube", "lift the green cube"), RANDOM)
        assert isinstance(outcome, Dropped)
        assert outcome.reason == reason
    assert fault_of(clip) == ("", 0.0)


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    shape, clip = ClipShape(frames=9, height_px=32, width_px=32, rate_hz=5), np.zeros((9, 32, 32, 3), np.float32)
    requests = [Request(image=clip[0].astype(np.uint8), prompt="lift", seed=seed) for seed in range(4)]
    model: Any = Sick(clip, most=1)
    assert len(drawn(model, requests, shape, Sampling())) == 4
    assert model.calls == [4, 2, 1, 1, 2, 1, 1]
    with pytest.raises(ConfigError, match="does not fit into the card's memory"):
        drawn(Sick(clip, most=0), requests, shape, Sampling())  # type: ignore[arg-type]


def test_settings_that_cannot_be_meant_are_refused() -> None:
    for wrong in ({"fit": "squeeze"}, {"batch_size": 0}, {"options": {"dtipe": "bf16"}}, {"model": ""}):
        with pytest.raises(ConfigError):
            GenerateClipsConfig(**wrong)  # type: ignore[arg-type]
