"""The model that ships: whole, small, described, and ready to label."""

from dataclasses import replace

import numpy as np

from idm.labelling.label import Labeller
from idm.labelling.label_config import STARTER, model_folder
from idm.labelling.saved_model import load_idm
from storage.embodiment import PANDA
from storage.labelling.labels import LabelFlag
from storage.testing import tiny_episode


def test_the_starter_is_small_and_its_card_says_what_it_was_made_from() -> None:
    folder = model_folder(STARTER)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 16 * 2**20
    card = load_idm(folder, preset="starter").card
    assert card is not None
    assert card.commit
    assert card.data["panda-1"]["training_episodes"] == 200
    assert not set(card.data["panda-1"]["held_out"])
    assert card.metrics[PANDA.name]["r2_where_moving/rotation"] > 0.7


def test_the_starter_labels_a_clip_and_finds_what_is_no_panda_strange() -> None:
    model = load_idm(model_folder(STARTER))
    clip = replace(tiny_episode(0, length=30, cameras=("agentview",), size_px=(128, 128)), rate_hz=20.0)
    assert not Labeller(model).label(clip, PANDA.name).valid.any()
    labels = Labeller(model, unlabels=LabelFlag(0)).label(clip, PANDA.name)
    assert (labels.flags & LabelFlag.UNFAMILIAR).all()
    assert labels.action.shape == (30, PANDA.action.size)
    assert labels.confidence.shape == (30, len(model.targets[PANDA.name].groups))
    assert np.isfinite(labels.interval[labels.valid]).all()
    usual = model.calibration(PANDA.name).familiar[1]
    assert (labels.distance > usual).all()
