"""Real and generated video: nothing is cut that is whole, and every step that can have a label gets one."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lapa.fitting.clips import ClipConfig, read_clip
from lapa.fitting.fit import LapaFit
from lapa.labelling.label import LabelLatents
from lapa.labelling.label_config import LapaLabelConfig
from storage.episode import Episode
from storage.formats.import_item import ImportConfig
from storage.formats.import_stage import read_episodes
from storage.ids import Randomness
from storage.labelling.labels import LabelFlag
from storage.outcomes import Kept
from storage.pictures.frame_checks import FrameScan
from storage.testing import real_data


def clips_of(folder: str) -> Iterator[Episode]:
    config = ImportConfig(path=str(real_data(folder)), format="videos", size_px=(72, 96), layer="neural")
    yield from read_episodes(config)


@pytest.mark.parametrize("folder", ["real_clips", "neural_clips"])
def test_every_step_of_whole_clips_is_labelled_up_to_the_end(fitted: tuple[LapaFit, Path], folder: str) -> None:
    labeller = LabelLatents(LapaLabelConfig(model=str(fitted[1]), windows_s={"human": 0.6}, force=True))
    for episode in clips_of(folder):
        outcome = labeller([episode], Randomness(0, "test"))[0][0]
        assert isinstance(outcome, Kept)
        flags = outcome.episode.arrays["label/flags/latent"]
        assert not (flags & LabelFlag.UNLABELLED).any()
        assert ((flags & LabelFlag.STRETCHED) > 0).sum() <= round(1.0 * episode.rate_hz)


def test_clips_that_are_spliced_are_cut_at_the_splice() -> None:
    images = [read_clip(episode, (72, 96), ClipConfig()).frames_of(range(20)) for episode in clips_of("neural_clips")]
    for one, other in pairwise(images[1:]):
        scan = FrameScan(40)
        scan.add(np.concatenate([one, other]))
        assert np.flatnonzero(scan.check().cut).tolist() == [20]
