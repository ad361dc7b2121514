"""Statistics of norms: measured on clean windows, held still, and put back."""

import pytest
import torch
from torch import nn

from idm.fitting.batch_norm_statistics import CleanWindows, measure_statistics, statistics_of
from idm.fitting.fit import IdmFitConfig
from idm.fitting.windows import Prepare, embodiment_targets
from idm.network.model import Idm
from idm.presets import preset
from idm.testing import world_dataset
from storage.training_reader.training_data import TrainingData
from storage.training_reader.windows import Windows

CONFIG = IdmFitConfig(model=preset("tiny"))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> CleanWindows:
    data = TrainingData(dataset=world_dataset(tmp_path_factory.mktemp("world") / "data", episodes=3))
    targets = embodiment_targets([data], CONFIG.windows(images=False))
    windows = Windows([data.source(data.episodes()[0])], CONFIG.windows(images=True))
    prepare = Prepare(preset("tiny"), windows.embodiments, targets)
    return CleanWindows(windows, prepare, batch_size=8, count=3)


def network() -> Idm:
    torch.manual_seed(0)
    return Idm(preset("tiny"))


def test_the_stem_keeps_mean_and_deviation_of_all_clean_pictures(clean: CleanWindows) -> None:
    model = network()
    measure_statistics(model, clean)
    images = torch.cat([batch["images"].flatten(0, 2) for batch in clean])
    pixels = images.permute(0, 3, 1, 2).float() / 255 - 0.5
    expected = model.encoder.stem(pixels).mean(dim=(0, 2, 3))  # type: ignore[union-attr,operator]
    assert torch.allclose(model.encoder.stem_norm.running_mean, expected, atol=1e-4)  # type: ignore[union-attr,arg-type]
    assert model.training, "the network is left in the mode it was in"


def test_weights_are_left_alone_and_what_training_keeps_comes_back(clean: CleanWindows) -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with statistics_of(model, clean):
        assert not torch.equal(
            model.state_dict()["encoder.stem_norm.running_mean"], before["encoder.stem_norm.running_mean"]
        )
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_norms_that_hold_still_do_so_in_training() -> None:
    model = network()
    model.holds_norms = True
    model.train()
    assert not any(part.training for part in model.modules() if isinstance(part, nn.BatchNorm2d))
    assert model.squeeze.training
