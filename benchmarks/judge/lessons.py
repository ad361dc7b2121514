"""What the starter judge is taught and asked: clips of simulated episodes, questions about them, and the truth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.judge.clips import MOMENTS, Drawn

FRAMES = 8
NOTHING = "nothing is completed"
INSTRUCTIONS: dict[str, tuple[str, ...]] = {
    "stack": ("stack the red cube on the green cube", "put the red cube on top of the green cube"),
    "stack_green_on_red": ("stack the green cube on the red cube", "put the green cube on top of the red cube"),
    "lift": ("lift the red cube", "pick up the red cube"),
    **{
        f"{thing}_from_{source}_to_{target}": (
            f"rearrange the {thing} from the {source} to the {target}",
            f"pick the {thing} from the {source} and place it {where} the {target}",
            f"move the {thing} from the {source} to the {target}",
        )
        for thing, source, target, where in (
            ("apple", "plate", "bowl", "in"),
            ("cup", "placemat", "plate", "on"),
            ("lemon", "tray", "bowl", "in"),
        )
    },
}
"""Task -> ways to say it, its own first."""
_THINGS = ("apple", "cup", "lemon", "can", "bottle", "pear", "orange")
_PLACES = ("plate", "bowl", "tray", "placemat", "basket", "pan")
_UNDECIDED = {("stack", "lift")}
"""(task, other task) whose instruction a clip of the task may be said to follow as well, so that nobody asks."""
_SWAPPED = {"stack": "stack_green_on_red", "stack_green_on_red": "stack"}

WRONG = ("short", "not moved", "dropped", "beside", "vanished", "reversed", "frozen", "stopped")
"""What a clip can show that does not follow the instruction."""
_REASON = {"short": "unfinished", "beside": "wrong place", "stopped": "frozen", "failed": "unfinished"}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A clip: `frames` (8,) numbers into the episode's pictures, and what it shows."""

    drawn: Drawn
    shows: str
    frames: tuple[int, ...]

    @property
    def done(self) -> bool:
        return self.shows == "done"


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A question of a kind ("instruction", "again", "physics", "caption") about a clip, with the reply that is right.
    `truth` is the answer yes or no, None for a caption."""

    kind: str
    text: str
    reply: str
    truth: bool | None = None
    reason: str = ""


def sampled(order: Sequence[int], rng: np.random.Generator | None, *, end: int = MOMENTS) -> tuple[int, ...]:
    """FRAMES of the first `end` of `order`, evenly and with some play; the first and the last are always among them.
    Moments are taken from every second one, so that few pictures of an episode have to be looked at."""
    there = sorted({*range(0, end, 2), end - 1})
    at = np.linspace(0, len(there) - 1, FRAMES)
    if rng is not None:
        at[1:-1] += rng.uniform(-0.7, 0.7, FRAMES - 2)
    places = np.clip(np.sort(at.round().astype(int)), 0, len(there) - 1)
    return tuple(order[there[place]] for place in places)


def show(drawn: Drawn, shows: str, rng: np.random.Generator) -> Shown | None:
    """A clip of an episode that shows something; None where the episode cannot show it."""
    whole, (leaves, rests) = drawn.clips["whole"], drawn.moved
    if shows == "done":
        frames = sampled(whole, rng) if drawn.succeeded and rests > leaves else None
    elif shows == "failed":
        frames = None if drawn.succeeded else sampled(whole, rng)
    elif rests <= leaves or not drawn.succeeded:
        frames = None
    elif shows == "short":
        earliest = max(9, min(leaves, rests - 3))
        frames = sampled(whole, rng, end=int(rng.integers(earliest, max(earliest + 1, rests - 2))))
    elif shows == "reversed":
        frames = sampled(whole, rng)[::-1]
    elif shows == "frozen":
        frames = (whole[int(rng.integers(MOMENTS))],) * FRAMES
    elif shows == "stopped":
        at = int(rng.integers(2, max(3, min(FRAMES - 2, FRAMES * (rests - 2) // MOMENTS))))
        taken = sampled(whole, rng)
        frames = taken[:at] + (taken[at - 1],) * (FRAMES - at)
    else:
        frames = sampled(drawn.clips[shows], rng) if shows in drawn.clips else None
        if frames is not None and shows == "warped" and max(frames) < MOMENTS:
            frames = None  # the bent moments lie between those that are looked at
    return None if frames is None else Shown(drawn=drawn, shows=shows, frames=frames)


def instruction_lesson(clip: Shown, text: str, *, right: bool, kind: str = "instruction") -> Lesson:
    """Whether the clip follows `text`; `right` says whether it is the task of the clip."""
    truth = right and clip.done
    reason = "done" if truth else "other task" if not right else _REASON.get(clip.shows, clip.shows)
    word = "yes" if truth else "no"
    return Lesson(kind=kind, text=text, reply=answer(word, reason), truth=truth, reason=reason)


def physics_lesson(clip: Shown) -> Lesson | None:
    """Whether what is shown is whole; None for clips of which that is a matter of taste."""
    if clip.shows in ("done", "short", "failed"):
        return Lesson(kind="physics", text="", reply=answer("yes", "whole"), truth=True, reason="whole")
    if clip.shows in ("vanished", "warped"):
        return Lesson(kind="physics", text="", reply=answer("no", clip.shows), truth=False, reason=clip.shows)
    return None


def caption_lesson(clip: Shown) -> Lesson | None:
    """What a clip shows: its task where it is completed."""
    if clip.shows in ("warped", "beside"):
        return None
    text = INSTRUCTIONS[clip.drawn.task][0] if clip.done else NOTHING
    return Lesson(kind="caption", text="", reply=f'{{"caption": "{text}"}}')


def wrong_text(task: str, rng: np.random.Generator) -> str:
    """An instruction that a clip of `task` does not follow: of another task, or with another thing or place."""
    others = [name for name in INSTRUCTIONS if name != task and (task, name) not in _UNDECIDED]
    if rng.random() < 0.5 or task in (*_SWAPPED, "lift"):
        if task in _SWAPPED and rng.random() < 0.4:
            return INSTRUCTIONS[_SWAPPED[task]][0]
        return str(rng.choice(INSTRUCTIONS[str(rng.choice(others))]))
    thing, source, target = task.replace("_from_", "|").replace("_to_", "|").split("|")
    kind = int(rng.integers(3))
    if kind == 0:
        thing = str(rng.choice([name for name in _THINGS if name != thing]))
    elif kind == 1:
        target = str(rng.choice([name for name in _PLACES if name not in (source, target)]))
    else:
        source, target = target, source
    return f"rearrange the {thing} from the {source} to the {target}"


def answer(word: str, reason: str) -> str:
    """The reply of a verdict."""
    return f'{{"answer": "{word}", "reason": "{reason}"}}'


def lessons(clip: Shown, rng: np.random.Generator) -> Iterator[Lesson]:
    """Some questions about a clip, two out of three of them about instructions."""
    texts = INSTRUCTIONS[clip.drawn.task]
    if clip.shows != "warped":
        yield instruction_lesson(clip, str(rng.choice(texts)), right=True)
        yield instruction_lesson(clip, wrong_text(clip.drawn.task, rng), right=False)
        again = rng.random() < 0.5
        text = str(rng.choice(texts)) if again else wrong_text(clip.drawn.task, rng)
        yield instruction_lesson(clip, text, right=again, kind="again")
    for lesson in (physics_lesson(clip), caption_lesson(clip)):
        if lesson is not None:
            yield lesson
