"""Cuts: hard cuts and fades between pieces of real clips that were spliced at known places.

python -m benchmarks relabel_cuts
"""

from collections.abc import Sequence
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import measure
from judges.curation.cuts import THUMBNAIL_PX, CutConfig, changes, fades, hard_cuts
from storage.testing import find_real_data

SOURCES = ("g1_real_bottle", "gr1_sim_pick_place", "real_clips", "neural_clips")
WITHIN_FRAMES = 2
FADE_FRAMES = 12


def run(quick: bool) -> dict[str, Any]:
    """F1 of hard cuts within two frames over splices of all sources, and how many fades are found."""
    clips = _clips(THUMBNAIL_PX, per_source=3 if quick else 8)
    random = np.random.default_rng(1)
    config = CutConfig()
    counts = np.zeros(3)
    fade_counts = np.zeros(3)
    for _ in range(20 if quick else 60):
        pieces = _pieces(clips, random)
        images = np.concatenate(pieces)
        cuts = np.cumsum([len(piece) for piece in pieces])[:-1].tolist()
        counts += _matched(hard_cuts(changes(images), config).tolist(), cuts)
        faded, spans = _faded(pieces)
        middles = [(first + end) // 2 for first, end in fades(faded, 25.0, config)]
        fade_counts += _matched(middles, [(first + end) // 2 for first, end in spans], within=FADE_FRAMES)
    figures = {
        "hard cuts": counts[0] + counts[2],
        "F1 of hard cuts within 2 frames": _f1(counts),
        "precision of hard cuts": counts[0] / max(1, counts[0] + counts[1]),
        "recall of hard cuts": counts[0] / max(1, counts[0] + counts[2]),
        "F1 of fades": _f1(fade_counts),
        "recall of fades": fade_counts[0] / max(1, fade_counts[0] + fade_counts[2]),
        "precision of fades": fade_counts[0] / max(1, fade_counts[0] + fade_counts[1]),
    }
    bars = {"F1 of hard cuts within 2 frames": {"at_least": 0.95}}
    measure.print_table(figures, bars)
    return measure.result(figures, bars)


def _clips(size_px: tuple[int, int], *, per_source: int) -> list[NDArray[np.float32]]:
    """Real clips (T, H, W, 3) at `size_px` (height, width), those of each source spread over it."""
    clips = []
    for source in SOURCES:
        paths = sorted(find_real_data(source).rglob("*.mp4"))
        for path in paths[:: max(1, len(paths) // per_source)][:per_source]:
            with av.open(str(path)) as container:
                images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            small = [cv2.resize(image, size_px[::-1], interpolation=cv2.INTER_AREA) for image in images]
            clips.append(np.stack(small).astype(np.float32))
    return clips


def _pieces(clips: Sequence[NDArray[np.float32]], random: np.random.Generator) -> list[NDArray[np.float32]]:
    """Eight pieces of 30 to 60 frames, neighbours from different clips."""
    pieces: list[NDArray[np.float32]] = []
    before = -1
    for _ in range(8):
        number = int(random.choice([place for place in range(len(clips)) if place != before]))
        clip, before = clips[number], number
        length = min(len(clip), int(random.integers(30, 60)))
        first = int(random.integers(0, len(clip) - length + 1))
        pieces.append(clip[first : first + length])
    return pieces


def _faded(pieces: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float32], list[tuple[int, int]]]:
    """The pieces with cross-fades of FADE_FRAMES between their moving ends, and [first, end) of each fade."""
    out, spans = [pieces[0]], []
    for piece in pieces[1:]:
        share = np.linspace(0, 1, FADE_FRAMES + 2, dtype=np.float32)[1:-1, None, None, None]
        last, rest = out[-1][:-FADE_FRAMES], out[-1][-FADE_FRAMES:]
        start = sum(map(len, out)) - FADE_FRAMES
        mixed = np.asarray(rest * (1 - share) + piece[:FADE_FRAMES] * share, np.float32)
        out[-1:] = [last, mixed, piece[FADE_FRAMES:]]
        spans.append((start, start + FADE_FRAMES))
    return np.concatenate(out), spans


def _matched(places: Sequence[int], truth: Sequence[int], *, within: int = WITHIN_FRAMES) -> NDArray[np.float64]:
    """(right, wrong, missed): each place of the truth is found at most once."""
    left = list(truth)
    right = 0
    for place in places:
        near = min(left, key=lambda true: abs(true - place), default=None)
        if near is not None and abs(near - place) <= within:
            left.remove(near)
            right += 1
    return np.array([right, len(places) - right, len(left)], np.float64)


def _f1(counts: NDArray[np.float64]) -> float:
    right, wrong, missed = counts
    return float(2 * right / max(1, 2 * right + wrong + missed))
