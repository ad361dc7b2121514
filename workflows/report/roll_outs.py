"""Roll-outs of policies on the page of a run: whose they are, success with its interval, film strips of some scenes."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from groot.card_hash import STARTER, policy_folder, stated_hash
from storage.atomic_files import read_json
from storage.errors import PyramidError
from storage.frames import Frames
from workflows.models.fit_roll_outs import TriedTask, shown_episodes
from workflows.models.roll_outs import FIGURES
from workflows.report.clips import clip_data_uri

FOLDER = "evaluations"
STRIP_FRAMES = 8
STRIP_HEIGHT_PX = 96


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One roll-out: which scene, what became of it, frames from first to last side by side, and the clip to play."""

    scene: str
    outcome: str
    success: bool
    picture: str
    clip: str


@dataclass(frozen=True, kw_only=True)
class RollOuts:
    """The roll-outs of one policy in one task; `rate`, `low` and `high` are shares, the 95 % interval is Wilson's."""

    page: str
    policy: str
    line: str
    instruction: str
    rate: float
    low: float
    high: float
    strips: list[Strip]


def roll_outs_of(root: Path) -> list[RollOuts]:
    """What the steps `evaluate` of the run in `root` left, in the order of their names."""
    return [_read(root, path) for path in sorted((root / FOLDER).glob(f"*/{FIGURES}"))]


def _read(root: Path, path: Path) -> RollOuts:
    figures = read_json(path)
    trial = TriedTask(figures=figures, folder=path.parent)
    episodes = shown_episodes(trial)
    low, high = figures["interval"]
    strips = []
    for episode in episodes:
        about = episode.provenance["generation"]
        camera, frames = sorted(episode.cameras.items())[0]
        did = "succeeded" if about["success"] else "failed"
        strips.append(
            Strip(
                scene=f"scene {about['scene']}, {camera}",
                outcome=f"{did} after {episode.length / episode.rate_hz:.1f} s",
                success=bool(about["success"]),
                picture=film_strip(frames),
                clip=clip_data_uri(frames, rate_hz=episode.rate_hz),
            )
        )
    return RollOuts(
        page=f"{FOLDER}/{path.parent.name}/report.html",
        policy=whose(root, str(figures["policy"])),
        line=trial.line,
        instruction=episodes[0].instruction if episodes else "",
        rate=figures["success"],
        low=low,
        high=high,
        strips=strips,
    )


def whose(root: Path, policy: str) -> str:
    """What people call the policy whose content hash is `policy`: one of the run, the one that ships, or a stranger."""
    for name, folder in _candidates(root):
        try:
            if stated_hash(folder, command="pyramid fit groot") == policy:
                return name
        except PyramidError:
            continue
    return f"a policy from elsewhere ({policy[:12]})"


def _candidates(root: Path) -> Iterator[tuple[str, Path]]:
    for card in sorted((root / "models").glob("*/card.json")):
        yield f"models/{card.parent.name}, the policy that this run fitted", card.parent
    shipped = policy_folder(Path(STARTER))
    yield f"the starter policy that ships, fitted elsewhere ({_fitted_to(shipped)}) and not to this data set", shipped


def _fitted_to(folder: Path) -> str:
    data: Mapping[str, Any] = read_json(folder / "card.json").get("data", {})
    parts = [f"{each['generated']} generated trajectories of {name}" for name, each in sorted(data.items())]
    return " and ".join(parts)


def film_strip(frames: Frames) -> str:
    """Some frames of a colour camera, evenly spaced from the first to the last, as one JPEG in a data URI."""
    steps = np.linspace(0, len(frames) - 1, min(STRIP_FRAMES, len(frames))).round().astype(int)
    width = max(1, round(frames.width_px * STRIP_HEIGHT_PX / frames.height_px))
    pictures = [
        cv2.resize(frames.decode([int(step)])[0], (width, STRIP_HEIGHT_PX), interpolation=cv2.INTER_AREA)
        for step in steps
    ]
    coded, content = cv2.imencode(".jpg", cv2.cvtColor(np.hstack(pictures), cv2.COLOR_RGB2BGR))
    assert coded
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode()
