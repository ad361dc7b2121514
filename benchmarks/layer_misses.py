"""How far beside the cube the policies of `layer_worth` close the hand, in Lift.

    python -m benchmarks.layer_misses FOLDER --steps 2000

Success says little of one fit: a policy that has not found the cube in its pictures goes to the middle of the table and
lifts none. The distance, a median over roll-outs, tells that from a hand that is a little off.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.layer_table import read_rows, roll_outs
from benchmarks.layer_worth import ROWS
from storage.datasets.dataset import Dataset
from storage.episode import Episode

HAND, CUBE = slice(0, 2), slice(10, 12)
"""Where the hand lies in `state` (sideways and forward, metres), and the cube in `simulation/state` (time, joints,
fingers, then its place)."""
GRIPPER = 6


def beside_m(episode: Episode) -> float:
    """Horizontal distance from the hand to the cube when the gripper is first told to close; the least distance where
    it never is."""
    hand, cube = episode.arrays["state"][:, HAND], episode.arrays["simulation/state"][:, CUBE]
    distance = np.linalg.norm(hand - cube, axis=1)
    closing = np.flatnonzero(episode.arrays["action/ground_truth"][:, GRIPPER] > 0)
    return float(distance[closing[0]] if len(closing) else distance.min())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layer_misses", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    given = parser.parse_args(arguments)
    folder = given.folder / "lift"
    for name, row in read_rows(folder, dict.fromkeys(ROWS, ""), steps=given.steps).items():
        homes = roll_outs(folder, name, steps=given.steps)
        misses = [np.median([beside_m(each) for each in Dataset.open(home).episodes()]) for home in homes]
        seeds = (f"{100 * miss:.1f} cm ({rate:.2f})" for miss, rate in zip(misses, row.rates, strict=True))
        print(f"{name}: {', '.join(seeds)}")


if __name__ == "__main__":
    main()
