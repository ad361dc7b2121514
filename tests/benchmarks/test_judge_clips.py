"""The clips that the starter judge learns from: what they are said to show is what is in their pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AyaVisionModel

from benchmarks.judge import dreamed
from benchmarks.judge.clips import MOMENTS, SCENARIOS, SIZE_PX, Drawn, draw
from benchmarks.judge.dreamed import drawn, gone, left_place
from benchmarks.judge.last_fit import Words
from benchmarks.judge.lessons import INSTRUCTIONS, WRONG, show
from benchmarks.judge.material.bends import changed_patches, sample, teach, tokens_of
from benchmarks.judge.material.store import LOOKED_AT, Look, Tokens, material_of
from benchmarks.judge.material.views import view
from benchmarks.judge.model import PATCH_PX, make


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
    rng = np.random.default_rng(1)
    material = material_of(0, lifted, rng)
    anew = material.bent_anew(rng)
    bent = [moment for moment, frame in enumerate(anew.clips["warped"]) if frame >= MOMENTS]
    assert len(bent) >= 2
    assert set(bent) <= set(LOOKED_AT)
    for moment, frame in enumerate(anew.clips["warped"]):
        changed = changed_patches(lifted.frames[moment], anew.frames[frame])
        assert changed.any() == (moment in bent)
        assert not changed.all()
    assert anew.clips["warped"] != material.bent_anew(rng).clips["warped"]


def test_a_frame_is_looked_at_once_in_each_of_its_views(lifted: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    material, clip = material_of(0, lifted, np.random.default_rng(1)), show(lifted, "done", np.random.default_rng(0))
    assert clip is not None
    looked_at: list[int] = []

    def counted(inner: AyaVisionModel, frames: np.ndarray) -> torch.Tensor:  # type: ignore[type-arg]
        looked_at.append(len(frames))
        return tokens_of(inner, frames)

    monkeypatch.setattr("benchmarks.judge.material.store.tokens_of", counted)
    model = make(None)
    tokens = Tokens(model.model)
    plain, soft = (Look(material=material, clip=clip, view=view) for view in (0, 1))
    first, again = tokens([plain]), tokens([plain, soft])
    assert looked_at == [len(set(clip.frames))] * 2
    assert torch.equal(again[: len(first)], first)
    assert not torch.equal(again[len(first) :], first)
    with torch.no_grad():
        there = tokens_of(model.model.eval(), lifted.frames[list(clip.frames)])
    torch.testing.assert_close(first, there, atol=2e-2, rtol=1e-2)


def test_a_warped_clip_whose_bent_moments_nobody_looks_at_is_no_warped_clip(lifted: Drawn) -> None:
    order = list(range(MOMENTS))
    order[5] = len(lifted.frames)  # an odd moment: clips look at even ones
    frames = np.concatenate([lifted.frames, lifted.frames[5:6]])
    hidden = replace(lifted, frames=frames, clips={**lifted.clips, "warped": tuple(order)})
    assert show(hidden, "warped", np.random.default_rng(0)) is None


def test_a_soft_view_has_less_detail_and_the_same_colours(lifted: Drawn) -> None:
    sharp = lifted.frames[0].astype(float)
    soft = view(np.random.default_rng(0), soft=True, moved=False)(lifted.frames[0]).astype(float)
    assert soft.shape == sharp.shape
    assert np.abs(np.diff(soft, axis=1)).mean() < 0.9 * np.abs(np.diff(sharp, axis=1)).mean()
    assert np.abs(soft.mean(axis=(0, 1)) - sharp.mean(axis=(0, 1))).max() < 2


def test_places_move_with_the_view_and_a_vanished_thing_has_none(lifted: Drawn) -> None:
    names, rng = sorted(set(lifted.names) - {"robot arm"}), np.random.default_rng(0)
    cube, shows_cube, shows_none = names.index("red cube"), 0, 0
    for _ in range(60):
        for each in sample(lifted, names, rng):
            place = int(each.places[cube])
            if place >= 0:  # red is where the cube is said to be
                y, x = (int(at) * PATCH_PX for at in divmod(place, SIZE_PX // PATCH_PX))
                near = each.picture[max(0, y - 4) : y + 12, max(0, x - 4) : x + 12].reshape(-1, 3).astype(int)
                assert (near[:, 0] - near[:, 1:].max(axis=1)).max() > 40
                shows_cube += 1
            elif place == -1:
                shows_none += 1
    assert shows_cube > 10
    assert shows_none > 5


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
    small = np.zeros((21, 64, 64, 3), np.uint8)
    words = Words(model, [lifted], [drawn("lift", small, true=each, done=False) for each in (True, False)])
    words.fit(2)
    assert moved(taught, state()) == {"words"}


def test_what_a_dream_shows_is_what_its_pictures_show() -> None:
    """A red cube on a bright table leaves its place at frame 14, or never."""
    table = np.full((21, 64, 64, 3), 200, np.uint8)
    stays = table.copy()
    stays[:, 30:36, 30:36] = (220, 20, 20)
    leaves = stays.copy()
    leaves[14:, 30:36, 30:36] = 200
    assert gone(leaves).tolist() == [False] * 14 + [True] * 7
    assert not left_place(stays)
    assert not left_place(table)
    rng = np.random.default_rng(0)
    for clip, lifts in ((leaves, True), (stays, False)):
        dream = drawn("lift", clip, true=False, done=left_place(clip))
        assert dream.succeeded == lifts
        for _ in range(20):
            shown = dreamed.show(dream, rng)
            ends_without = bool(dream.frames[shown.frames[-1]][66, 66].min() > 150)
            begins_with = bool(dream.frames[shown.frames[0]][66, 66].min() < 100)
            asked = [each for each in dreamed.lessons(shown, rng) if each.text in INSTRUCTIONS["lift"]]
            assert {each.truth for each in asked} == {ends_without and begins_with}
    other = drawn("stack_green_on_red", stays, true=False, done=False)
    asked = list(dreamed.lessons(dreamed.show(other, rng), rng))
    assert asked
    assert not any(each.truth for each in asked)
