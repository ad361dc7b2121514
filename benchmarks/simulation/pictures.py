"""Generated trajectories as picture strips, for the documentation: a row a task, from its beginning to its end.

python -m benchmarks.simulation.pictures                     the strips in docs/pictures
python -m benchmarks.simulation.pictures --output x.png stack lift
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from generators.simulation.multiply import Multiply
from generators.simulation.multiply_config import MultiplyConfig
from generators.simulation.task.registry import tasks
from storage.episode import Episode
from storage.errors import WorkFailedError
from storage.ids import Randomness
from storage.outcomes import Kept

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
SIZE_PX, COLUMNS, TITLE_PX = 160, 7, 16
STRIPS = {
    "strips-two-arms.png": (
        "two_arm_lift",
        "two_arm_handover",
        "two_arm_transport",
        "two_arm_peg_in_hole",
        "tray_lift",
        "drawer_cleanup",
    ),
    "strips-tabletop.png": (
        "apple_from_plate_to_bowl",
        "can_from_cutting_board_to_basket",
        "milk_from_placemat_to_shelf",
        "lemon_from_cutting_board_to_pan",
        "carry_crate_from_placemat_to_cutting_board",
        "clear_cup_then_can_from_placemat_to_plate",
        "hand_over_thermos_from_placemat_to_cardboard_box",
    ),
}


def generated(name: str) -> Episode:
    """The first trajectory that is kept of a task, drawn by its first camera; raises WorkFailedError."""
    cameras = tasks()[name].cameras[:1]
    stage = Multiply(MultiplyConfig(task=name, size_px=SIZE_PX, cameras=cameras))
    (outcomes,) = stage([{"first_attempt": 0, "attempts": 20, "keep_at_most": 1}], Randomness(0, "multiply"))
    if not isinstance(outcomes[-1], Kept):
        raise WorkFailedError(f"no attempt at {name} succeeded in {len(outcomes)}")
    return outcomes[-1].episode


def strip(episode: Episode, title: str) -> NDArray[np.uint8]:
    """(H, W, 3): pictures at equal distances in time side by side, under a line of text."""
    frames = next(iter(episode.cameras.values()))
    pictures = frames.decode(np.linspace(0, episode.length - 1, COLUMNS).round().astype(int).tolist())
    line = Image.new("RGB", (COLUMNS * SIZE_PX, TITLE_PX), "white")
    ImageDraw.Draw(line).text((4, 2), title, fill="black")
    return np.concatenate([np.asarray(line), np.concatenate(list(pictures), axis=1)])


def draw(names: Sequence[str], path: Path) -> Path:
    """A strip for each task, one under the other, as a PNG."""
    rows = []
    for name in names:
        episode = generated(name)
        rows.append(strip(episode, f"{name}: {episode.instruction}"))
        print(f"{name}: {episode.length} steps", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).quantize(256).save(path, optimize=True)
    return path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation.pictures")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.names:
        print(draw(options.names, options.output or PICTURES / "strips.png"))
    else:
        for file, names in STRIPS.items():
            print(draw(names, PICTURES / file))
