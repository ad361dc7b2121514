"""Fingerprints of clips that survive another size, codec or brightness, to find clips that are there twice.

Per look at a clip 64 bits say what the picture shows, and 64 bits what has changed since the look before: a robot in
front of a camera that stands still gives a thousand different clips of one picture. A hash holds the signs of the
lowest frequencies of a discrete cosine transform against their median (the usual perceptual hash).
"""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

LOOKS = 4


def clip_hashes(small: NDArray[np.uint8]) -> tuple[list[str], list[str]]:
    """(LOOKS hashes of pictures, LOOKS - 1 hashes of changes), each of 16 hexadecimal digits, from small grey frames
    (T, h, w), evenly over the clip."""
    places = np.linspace(0, len(small) - 1, LOOKS + 2)[1:-1].round().astype(int)
    looks = [_square(small[place]) for place in places]
    changes = [cv2.GaussianBlur(later - earlier, (5, 5), 0) for earlier, later in itertools.pairwise(looks)]
    return [_hash(look) for look in looks], [_hash(change) for change in changes]


def _square(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA), np.float32)


def _hash(square: NDArray[np.float32]) -> str:
    low = cv2.dct(square)[:8, :8].reshape(-1)
    bits = low > np.median(low[1:])
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def distance(one: Sequence[str], other: Sequence[str]) -> float:
    """Mean number of bits that differ, 0 to 64; unrelated hashes differ in about 32."""
    pairs = zip(one, other, strict=True)
    return sum((int(a, 16) ^ int(b, 16)).bit_count() for a, b in pairs) / max(1, len(one))
