"""What the hands and the head of a person do at a table: reaching, taking, carrying, waiting; looking about.

Poses are (T, 4, 4) in the world: x away from the person, y to the left, z up, metres. Paths between way points have the
shape of human reaching, minimum jerk (Flash and Hogan 1985, J. Neurosci. 5(7)).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from benchmarks.lapa.people.scene import TABLE_M

Poses = NDArray[np.float64]
HEADS = ("still", "sways", "turns")


@dataclass(frozen=True, kw_only=True)
class Person:
    """`hands` (2, T, 4, 4), left first; `curl` (2, T) from 0, straight, to 1, closed; `objects` (K, T, 4, 4);
    `head` (T, 4, 4), looking along -z with y up, as cameras of MuJoCo do; `manner` of the head, one of `HEADS`."""

    hands: Poses
    curl: NDArray[np.float64]
    objects: Poses
    head: Poses
    manner: str


def person(random: np.random.Generator, *, steps: int, rate_hz: float, objects: int) -> Person:
    """One take of `steps` steps with `objects` things on the table."""
    places = np.column_stack([random.uniform(0.15, 0.65, objects), random.uniform(-0.4, 0.4, objects)])
    things = np.tile(np.eye(4), (objects, steps, 1, 1))
    things[:, :, :3, :3] = Rotation.from_rotvec([[0, 0, turn] for turn in random.uniform(-3, 3, objects)]).as_matrix()[
        :, None
    ]
    things[:, :, :2, 3], things[:, :, 2, 3] = places[:, None], TABLE_M + 0.03
    manner = str(random.choice(HEADS, p=(0.3, 0.3, 0.4)))
    hands = np.zeros((2, steps, 4, 4))
    curl = np.zeros((2, steps))
    mine = np.array_split(random.permutation(objects), 2)
    for side in range(2):
        hands[side], curl[side], held = _hand(random, side, steps, rate_hz, places[mine[side]])
        for thing, number in enumerate(mine[side]):
            _carry(things[number], hands[side], held == thing)
    return Person(
        hands=hands, curl=curl, objects=things, head=_head(random, manner, steps, rate_hz, hands), manner=manner
    )


def _hand(
    random: np.random.Generator, side: int, steps: int, rate_hz: float, places: NDArray[np.float64]
) -> tuple[Poses, NDArray[np.float64], NDArray[np.int64]]:
    """Pose and curl of a hand, and which of its things it holds, -1 for none."""
    away = random.random() < 0.12
    at = np.array([0.1, 0.25 if side == 0 else -0.25, TABLE_M + 0.1]) + random.normal(scale=0.05, size=3)
    if away:
        at = np.array([-0.8, at[1] * 2, 0.3])
    ways = [_Way(0, at, _wrist(random), 0.2, -1)]
    where = places.copy()
    while ways[-1].step < steps:
        ways += [ways[-1].wait(steps, -1)] if away else _act(random, ways[-1], where, rate_hz)
    return _through(random, ways, steps)


@dataclass(frozen=True)
class _Way:
    """Where a hand is at a step; `held` is what it holds from here on."""

    step: int
    at: NDArray[np.float64]
    turned: Rotation
    curl: float
    held: int

    def wait(self, steps: int, held: int) -> "_Way":
        return _Way(self.step + steps, self.at, self.turned, self.curl, held)


def _act(random: np.random.Generator, last: _Way, where: NDArray[np.float64], rate_hz: float) -> list[_Way]:
    """The next way points: a wait, a gesture, or taking a thing and putting it somewhere else."""

    def later(way: _Way, low_s: float, high_s: float) -> int:
        return way.step + max(2, round(random.uniform(low_s, high_s) * rate_hz))

    chance = random.random()
    if chance < 0.15:
        return [last.wait(round(random.uniform(0.4, 1.2) * rate_hz), -1)]
    if chance < 0.35 or not len(where):
        above = random.uniform((0.0, -0.45, TABLE_M + 0.03), (0.6, 0.45, TABLE_M + 0.35))
        return [_Way(later(last, 0.5, 1.3), above, _wrist(random), random.uniform(0, 0.9), -1)]
    thing = int(random.integers(len(where)))
    turned = _wrist(random)
    grip = np.array([0.09, 0.0, -0.02])
    reach = np.append(where[thing], TABLE_M + 0.04) - turned.apply(grip)
    to = random.uniform((0.15, -0.4), (0.65, 0.4))
    put = np.append(to, TABLE_M + 0.04) - turned.apply(grip)
    where[thing] = to
    near = _Way(later(last, 0.5, 1.2), reach, turned, 0.25, -1)
    closed = _Way(later(near, 0.2, 0.4), reach, turned, 0.75, thing)
    over = _Way(later(closed, 0.4, 0.8), (reach + put) / 2 + (0, 0, random.uniform(0.05, 0.25)), turned, 0.75, thing)
    down = _Way(later(over, 0.4, 0.8), put, turned, 0.75, -1)
    opened = _Way(later(down, 0.2, 0.3), put, turned, 0.2, -1)
    return [near, closed, over, down, opened]


def _wrist(random: np.random.Generator) -> Rotation:
    """Fingers away from the person and down; x of the wrist along them, z out of the back of the hand."""
    yaw, pitch, roll = random.normal((0.0, 0.3, 0.0), (0.4, 0.2, 0.5))
    return Rotation.from_euler("ZYX", [yaw, pitch, roll])


def _through(
    random: np.random.Generator, ways: list[_Way], steps: int
) -> tuple[Poses, NDArray[np.float64], NDArray[np.int64]]:
    poses, curl, held = np.tile(np.eye(4), (steps, 1, 1)), np.zeros(steps), np.full(steps, -1)
    for one, two in pairwise(ways):
        span = np.arange(one.step, min(two.step, steps))
        gone = minimum_jerk((span - one.step) / (two.step - one.step))
        poses[span, :3, 3] = one.at + gone[:, None] * (two.at - one.at)
        turn = (one.turned.inv() * two.turned).as_rotvec()
        poses[span, :3, :3] = (one.turned * Rotation.from_rotvec(gone[:, None] * turn)).as_matrix()
        curl[span] = one.curl + gone * (two.curl - one.curl)
        held[span] = one.held
    poses[:, :3, 3] += smooth_noise(random, steps, 3, scale=0.003, over=4)
    return poses, curl, held


def _carry(thing: Poses, hand: Poses, held: NDArray[np.bool_]) -> None:
    """Let `thing` go with the hand while it is held; after that it stays where it was put."""
    for step in range(1, len(thing)):
        if held[step]:
            thing[step] = hand[step] @ np.linalg.inv(hand[step - 1]) @ thing[step - 1]
        else:
            thing[step] = thing[step - 1]


def _head(random: np.random.Generator, manner: str, steps: int, rate_hz: float, hands: Poses) -> Poses:
    """A head over the edge of the table, or, for a still one, now and then a camera anywhere around it."""
    place = random.uniform((-0.35, -0.12, TABLE_M + 0.3), (-0.02, 0.12, TABLE_M + 0.6))
    looks = random.uniform((0.2, -0.15, TABLE_M - 0.05), (0.5, 0.15, TABLE_M + 0.05))
    if manner == "still":
        if random.random() < 0.5:
            angle, far = random.uniform(-2.4, 2.4), random.uniform(0.6, 1.1)
            place = np.array([0.3 + far * np.cos(angle), far * np.sin(angle), TABLE_M + random.uniform(0.25, 0.8)])
        return _looking(np.tile(place, (steps, 1)), np.tile(looks, (steps, 1)))
    places = place + smooth_noise(random, steps, 3, scale=0.02, over=0.5 * rate_hz)
    targets = np.tile(looks, (steps, 1)) + smooth_noise(random, steps, 3, scale=0.015, over=0.4 * rate_hz)
    if manner == "turns":
        targets += _glances(random, steps, rate_hz, hands)
        places += smooth_noise(random, steps, 3, scale=0.04, over=rate_hz)
    return _looking(places, targets)


def _glances(random: np.random.Generator, steps: int, rate_hz: float, hands: Poses) -> NDArray[np.float64]:
    """Offsets (T, 3) of what the head looks at: it rests, then turns elsewhere within half a second or more."""
    offsets = np.zeros((steps, 3))
    step, now = 0, np.zeros(3)
    while step < steps:
        step += round(random.uniform(0.2, 1.5) * rate_hz)
        turn = max(4, round(random.uniform(0.4, 1.2) * rate_hz))
        after = random.normal(scale=(0.12, 0.2, 0.08))
        span = np.arange(min(step, steps), min(step + turn, steps))
        offsets[span] = now + minimum_jerk((span - step) / turn)[:, None] * (after - now)
        step, now = step + turn, after
        offsets[min(step, steps) :] = now
    return offsets


def _looking(places: NDArray[np.float64], targets: NDArray[np.float64]) -> Poses:
    """Cameras (T, 4, 4) at `places` that look at `targets`, level with the ground."""
    back = places - targets
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    right = np.cross((0.0, 0.0, 1.0), back)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    poses = np.tile(np.eye(4), (len(places), 1, 1))
    poses[:, :3, :3] = np.stack([right, np.cross(back, right), back], axis=2)
    poses[:, :3, 3] = places
    return poses


def minimum_jerk(gone: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the way at the share `gone` of the time."""
    share: NDArray[np.float64] = gone**3 * (10 - 15 * gone + 6 * gone**2)
    return share


def smooth_noise(
    random: np.random.Generator, steps: int, width: int, *, scale: float, over: float
) -> NDArray[np.float64]:
    """(T, width) of standard deviation `scale`, smooth over about `over` steps."""
    noise = gaussian_filter1d(random.normal(size=(steps + round(8 * over), width)), over, axis=0)
    noise = noise[round(4 * over) :][:steps]
    smoothed: NDArray[np.float64] = scale * noise / max(float(noise.std()), 1e-9)
    return smoothed
