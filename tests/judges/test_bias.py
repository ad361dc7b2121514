"""Clips made wrong on purpose, and judges that look at one thing alone."""

import numpy as np
import pytest

from judges.testing import SayingClient, verdict_text
from judges.vision_language.bias import PAINTED, Refused, biases, made_wrong, painted, swapped_things
from judges.vision_language.client import Question
from judges.vision_language.config import ModelConfig
from judges.vision_language.judge import JudgeByModel
from judges.vision_language.prompt import KINDS
from storage.testing import tiny_episode

TEXTS = ("put the cup on the plate", "put the box on the tray")
CLIPS = [tiny_episode(seed, instruction=TEXTS[seed % 2]) for seed in range(4)]
WAYS = {"another instruction", "things swapped", "reversed", "frozen", "first frame only", "painted"}


def table_of(says: SayingClient) -> dict[str, Refused]:
    config = ModelConfig(questions=("instruction",), prompts={kind: kind for kind in KINDS}, replies="", frames=4)
    return biases(CLIPS, JudgeByModel(config, says))


def moved(asked: Question) -> bool:
    return len(asked.pictures) > 1 and np.abs(asked.pictures[0].astype(int) - asked.pictures[-1]).mean() > 1


def test_a_judge_that_says_yes_to_everything_refuses_no_clip() -> None:
    table = table_of(SayingClient(lambda asked: verdict_text("yes")))
    assert set(table) == {"as it is", *WAYS}
    assert {row.refused for row in table.values()} == {0}


def test_a_judge_that_reads_the_text_alone_is_blind_to_time() -> None:
    table = table_of(
        SayingClient(lambda asked: verdict_text("yes" if any(text in asked.text for text in TEXTS) else "no"))
    )
    assert table["things swapped"] == Refused(clips=4, refused=4, unsure=0)
    assert table["reversed"].refused == table["frozen"].refused == 0


def test_a_judge_that_wants_motion_refuses_what_stands_still() -> None:
    table = table_of(SayingClient(lambda asked: verdict_text("yes" if moved(asked) else "no")))
    assert table["frozen"].refused == table["first frame only"].refused == 4
    assert table["reversed"].refused == table["another instruction"].refused == 0


def test_only_clips_that_are_accepted_are_made_wrong() -> None:
    table = table_of(SayingClient(lambda asked: verdict_text("yes" if "cup" in asked.text else "no")))
    assert table["as it is"] == Refused(clips=4, refused=2, unsure=0)
    assert table["reversed"].clips == 2


def test_what_is_unsure_is_counted_for_itself() -> None:
    table = table_of(SayingClient(lambda asked: verdict_text("yes" if moved(asked) else "unsure")))
    assert table["frozen"] == Refused(clips=0, refused=0, unsure=4)


def test_the_painted_clip_has_another_instruction_and_writing_in_every_frame() -> None:
    ways = dict(made_wrong(CLIPS[0], TEXTS[1]))
    shown = ways["painted"].cameras["front"].decode()
    plain = CLIPS[0].cameras["front"].decode()
    assert ways["painted"].instruction == TEXTS[1]
    assert (np.abs(shown.astype(int) - plain).max(axis=(1, 2, 3)) > 100).all()
    assert painted(plain[0], PAINTED).shape == plain[0].shape


@pytest.mark.parametrize(
    ("instruction", "swapped"),
    [
        ("stack the red cube on the green cube", "stack the green cube on the red cube"),
        ("put the cup from the tray into the box", ""),
        ("lift the red cube", ""),
        ("put the cup on the cup", ""),
    ],
)
def test_two_things_change_places(instruction: str, swapped: str) -> None:
    assert swapped_things(instruction) == swapped
