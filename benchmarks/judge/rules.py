"""The rules on injected faults: recall for each fault, false alarms on untouched clips, and frames a second.

Clips are windows of 81 frames of the real and generated recordings under PYRAMID_REAL_DATA and of trajectories that are
simulated here. Into a copy of each one fault is put at a place drawn from the clip's name.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from benchmarks.idm.panda_clips import Clips, generate
from judges.rules.judge import JudgeByRules, RulesConfig
from storage.episode import Episode
from storage.frames import Frames
from storage.ids import content_id
from storage.testing import find_real_data
from storage.verdicts.duplicates import DUPLICATE, duplicates
from storage.verdicts.verdicts import Verdict

Images = NDArray[np.uint8]
WINDOW, SIDE_PX = 81, 224
BARS = {
    "false_alarms": {"at_most": 0.02},
    **{f"recall_{name}": {"at_least": 0.95} for name in ("frozen", "cut", "flicker", "exposure", "first_frame")},
    "recall_duplicate": {"at_least": 0.95},
    "frames_a_second": {"at_least": 200.0},
}
TORN = "wrist_image_left"
"""A real recording whose frames are torn (looked at): what the rules find there is a fault, and no false alarm."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """One untouched clip."""

    kind: str
    name: str
    images: Images
    rate_hz: float

    def episode(self, images: Images | None = None, note: str = "") -> Episode:
        """The clip, or what became of it, stored as any episode is."""
        frames = Frames.encode(self.images if images is None else images)
        return Episode(
            episode_id=content_id(self.kind, self.name, note),
            layer="human",
            embodiment="human",
            length=len(frames),
            rate_hz=self.rate_hz,
            cameras={"view": frames},
        )


def frozen(images: Images, other: Images, rng: np.random.Generator) -> Images:
    """The last 35 to 60 percent repeat one frame."""
    at = int(len(images) * rng.uniform(0.4, 0.65))
    return np.concatenate([images[:at], np.repeat(images[at - 1 : at], len(images) - at, axis=0)])


def cut(images: Images, other: Images, rng: np.random.Generator) -> Images:
    """Goes on as another clip."""
    at = int(rng.integers(len(images) // 4, 3 * len(images) // 4))
    return np.concatenate([images[:at], _like(other, images)[: len(images) - at]])


def flicker(images: Images, other: Images, rng: np.random.Generator) -> Images:
    """Brightness alternates by some 6 percent."""
    gains = 1 + rng.normal(0, 0.06, len(images))
    swinging: Images = np.clip(images * gains[:, None, None, None], 0, 255).astype(np.uint8)
    return swinging


def black(images: Images, other: Images, rng: np.random.Generator) -> Images:
    """One to five frames are black."""
    changed, at = images.copy(), int(rng.integers(len(images) - 5))
    changed[at : at + int(rng.integers(1, 6))] = 0
    return changed


def first_frame(images: Images, other: Images, rng: np.random.Generator) -> Images:
    """Begins with another picture: that of another clip, or its own in other colours."""
    changed = images.copy()
    own = np.clip(images[0] * rng.uniform(1.15, 1.3) + 8, 0, 255).astype(np.uint8)
    changed[0] = _like(other, images)[0] if rng.random() < 0.5 else own
    return changed


FAULTS: Mapping[str, Callable[[Images, Images, np.random.Generator], Images]] = {
    "frozen": frozen,
    "cut": cut,
    "flicker": flicker,
    "exposure": black,
    "first_frame": first_frame,
}
"""Fault -> what does it; named after the rule that must find it."""


def repeated(images: Images, rng: np.random.Generator) -> Images:
    """The same clip, encoded again: smaller, a little brighter."""
    height, width = (round(side * rng.uniform(0.6, 0.9)) for side in images.shape[1:3])
    small = np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images])
    brighter: Images = np.clip(small * 1.03 + 2, 0, 255).astype(np.uint8)
    return brighter


def _like(other: Images, images: Images) -> Images:
    size = (images.shape[2], images.shape[1])
    rows = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in other]
    return np.stack([*rows, *rows[-1:] * max(0, len(images) - len(rows))])


def windows(*, simulated: int) -> Iterator[Window]:
    """Every untouched clip."""
    for kind, pattern in (
        ("neural_clips", "*.mp4"),
        ("real_clips", "*.mp4"),
        ("g1_real_bottle", "videos/*/*/*.mp4"),
        ("gr1_sim_pick_place", "videos/*/*/*.mp4"),
    ):
        for path in sorted(find_real_data(kind).glob(pattern)):
            images, rate_hz = _read(path)
            for begin in range(0, max(1, len(images) - WINDOW + 1), WINDOW):
                name = f"{path.stem} from {begin}"
                yield Window(kind=kind, name=name, images=images[begin : begin + WINDOW], rate_hz=rate_hz)
    for task, camera in (("lift", "agentview"), ("stack", "agentview"), ("apple_from_plate_to_bowl", "ego_view")):
        for episode in generate(Clips(episodes=simulated, seed=3, tasks=(task,), camera=camera)):
            images = np.asarray(episode.cameras[camera].decode(), np.uint8)
            yield Window(kind="simulated", name=episode.episode_id, images=images, rate_hz=episode.rate_hz)


def _read(path: Path) -> tuple[Images, float]:
    with av.open(str(path)) as container:
        rate_hz = float(container.streams.video[0].average_rate or 0)
        images = []
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="rgb24")
            scale = SIDE_PX / max(image.shape[:2])
            size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
            images.append(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    return np.stack(images), rate_hz


def run(quick: bool) -> dict[str, Any]:
    """Recall, false alarms and speed."""
    chosen = list(windows(simulated=2 if quick else 8))[:: 8 if quick else 1]
    judge = JudgeByRules(RulesConfig())
    said: dict[Window, tuple[Verdict, ...]] = {}
    seconds = 0.0
    for window in chosen:
        episode = window.episode()
        began_s = process_time()
        said[window] = judge.verdicts(episode)
        seconds += process_time() - began_s
    figures = {"frames_a_second": sum(len(window.images) for window in chosen) / seconds}
    figures |= _alarms(said)
    figures |= {f"recall_{name}": share for name, share in _recalls(judge, chosen).items()}
    figures["recall_duplicate"] = _duplicate_recall(judge, said)
    print(f"{len(chosen)} clips, the longer side {SIDE_PX} px, one core:")
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)


def _alarms(said: Mapping[Window, tuple[Verdict, ...]]) -> dict[str, float]:
    """Share of the sound untouched clips that any rule refuses, each named, and how many of the torn ones are found."""
    refused = {window: names for window, verdicts in said.items() if (names := _failed(verdicts))}
    for window, names in refused.items():
        print(f"  untouched, refused by {', '.join(names)}: {window.kind}, {window.name}")
    sound = [window for window in said if not (window.kind == "real_clips" and TORN in window.name)]
    repeats = duplicates({window.name: _fingerprint(said[window]) for window in sound})
    for one, other in repeats.items():
        print(f"  untouched, called a duplicate: {one} of {other}")
    wrong = sum(window in refused for window in sound) + len(repeats)
    torn = [window for window in said if window not in sound]
    figures = {"false_alarms": wrong / len(sound)}
    for kind in {window.kind for window in sound}:
        mine = [window for window in sound if window.kind == kind]
        figures[f"false_alarms_{kind}"] = sum(window in refused for window in mine) / len(mine)
    return figures | ({"torn_recording_found": sum(w in refused for w in torn) / len(torn)} if torn else {})


def _recalls(judge: JudgeByRules, chosen: list[Window]) -> dict[str, float]:
    """For each fault: the share of the clips in which the rule of its name finds it."""
    hits: Counter[str] = Counter()
    for number, window in enumerate(chosen):
        rng = np.random.default_rng(int(content_id(window.name)[:8], 16))
        other = next(each for each in (*chosen[number + 1 :], *chosen) if each.kind != window.kind)
        for name, inject in FAULTS.items():
            verdicts = judge.verdicts(window.episode(inject(window.images, other.images, rng), name))
            hit = name in _failed(verdicts)
            hits[name] += hit
            if not hit:
                print(f"  missed: {name} in {window.kind}, {window.name}")
    return {name: hits[name] / len(chosen) for name in FAULTS}


def _duplicate_recall(judge: JudgeByRules, said: Mapping[Window, tuple[Verdict, ...]]) -> float:
    """The share of re-encoded copies that are found among all clips."""
    prints = {window.name: _fingerprint(verdicts) for window, verdicts in said.items()}
    copies = {}
    for window in said:
        rng = np.random.default_rng(int(content_id(window.name)[:8], 16))
        verdicts = judge.verdicts(window.episode(repeated(window.images, rng), "copy"))
        copies[f"copy of {window.name}"] = _fingerprint(verdicts)
    repeats = duplicates({**prints, **copies})
    return sum(repeats.get(copy) == copy.removeprefix("copy of ") for copy in copies) / len(copies)


def _failed(verdicts: tuple[Verdict, ...]) -> list[str]:
    return [verdict.judge for verdict in verdicts if verdict.passed is False]


def _fingerprint(verdicts: tuple[Verdict, ...]) -> str:
    return next(str(each.evidence["fingerprint"]) for each in verdicts if each.judge == DUPLICATE)
