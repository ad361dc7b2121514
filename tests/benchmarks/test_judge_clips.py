"""The clips that the starter judge learns from: what they are said to show is what is in their pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.judge.bends import bent_anew, changed_patches, softened, teach
from benchmarks.judge.clips import MOMENTS, SCENARIOS, Drawn, draw
from benchmarks.judge.last_fit import Round, fit_words
from benchmarks.judge.lessons import INSTRUCTIONS, WRONG, physics_lesson, show
from benchmarks.judge.model import make


@pytest.fixture(scope="module")
def lifted() -> Drawn:
    lift = next(scenario for scenario in SCENARIOS if scenario.task == "lift")
    return next(draw(lift, attempts=1, seed=3))


def test_an_episode_is_drawn_with_every_clip_that_it_can_show(lifted: Drawn) -> None:
    rng = np.random.default_rng(0)
    shown = {name: show(lifted, name, rng) for name in ("done", "warped", *WRONG)}
    assert all(shown.values()), [name for name, clip in shown.items() if clip is None]
    whole = lifted.frames[list(lifted.clips["whole"])]
    still = lifted.frames[list(lifted.clips["not moved"])]
    assert (whole[-1] != still[-1]).any()
    assert lifted.instruction in INSTRUCTIONS[lifted.task]


def test_a_clip_bent_anew_differs_where_it_is_bent_and_nowhere_else(lifted: Drawn) -> None:
    anew = bent_anew(lifted, np.random.default_rng(1))
    bent = [moment for moment, frame in enumerate(anew.clips["warped"]) if frame >= MOMENTS]
    assert 4 <= len(bent) == len(anew.frames) - MOMENTS
    for moment, frame in enumerate(anew.clips["warped"]):
        changed = changed_patches(lifted.frames[moment], anew.frames[frame])
        assert changed.any() == (moment in bent)
        assert not changed.all()
    assert anew.clips["warped"] != bent_anew(lifted, np.random.default_rng(2)).clips["warped"]


def test_a_warped_clip_whose_bent_moments_nobody_looks_at_is_no_warped_clip(lifted: Drawn) -> None:
    order = list(range(MOMENTS))
    order[5] = len(lifted.frames)  # an odd moment: clips look at even ones
    frames = np.concatenate([lifted.frames, lifted.frames[5:6]])
    hidden = replace(lifted, frames=frames, clips={**lifted.clips, "warped": tuple(order)})
    assert show(hidden, "warped", np.random.default_rng(0)) is None


def test_a_soft_clip_shows_the_same_with_less_detail(lifted: Drawn) -> None:
    clip = show(lifted, "done", np.random.default_rng(0))
    assert clip is not None
    soft = softened(clip, np.random.default_rng(0))
    assert soft.shows == clip.shows
    assert physics_lesson(soft) == physics_lesson(clip)
    sharp, blurred = (each.drawn.frames[list(each.frames)].astype(float) for each in (clip, soft))
    assert blurred.shape == sharp.shape
    assert np.abs(np.diff(blurred, axis=2)).mean() < 0.9 * np.abs(np.diff(sharp, axis=2)).mean()
    assert np.abs(blurred.mean(axis=(1, 2)) - sharp.mean(axis=(1, 2))).max() < 2


def test_the_last_fit_moves_tower_and_projector_first_and_then_words_alone(lifted: Drawn) -> None:
    model = make(None)
    parts = {
        "tower": model.model.vision_tower,
        "projector": model.model.multi_modal_projector,
        "words": model.model.language_model,
    }

    def state() -> dict[str, torch.Tensor]:
        return {name: torch.cat([p.detach().flatten() for p in part.parameters()]) for name, part in parts.items()}

    def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
        return {name for name in parts if not torch.equal(before[name], after[name])}

    begun = state()
    teach(model, [lifted], steps=2, frames=2)
    taught = state()
    assert moved(begun, taught) == {"tower", "projector"}
    fit_words(
        model,
        [lifted],
        [Round(steps=2, usual=1, physics=("done", "warped"), easy=0.5, again=True, calm=True, most_rate=1e-2)],
    )
    assert moved(taught, state()) == {"words"}
