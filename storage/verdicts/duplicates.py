"""Which episodes are duplicates: fingerprints that differ in few bits. A matter of the whole data set, so it is decided
where a selection is made, from verdicts alone.

Pairs are found by bands: fingerprints that differ in at most `FARTHEST_BITS` of 512 bits agree in at least one of 32
bands of 16 bits (pigeonhole), so that a data set of any size is searched without comparing all pairs.
"""

from collections import defaultdict
from collections.abc import Mapping

DUPLICATE = "duplicate"
FARTHEST_BITS = 31.0
_BAND_DIGITS = 4


def duplicates(fingerprints: Mapping[str, str], *, farthest_bits: float = FARTHEST_BITS) -> dict[str, str]:
    """Episode -> the episode that it repeats. Of each group the first one, in the order given, stands for itself."""
    bands: dict[tuple[int, str], list[str]] = defaultdict(list)
    numbers = {name: int(digits, 16) for name, digits in fingerprints.items() if digits}
    originals: dict[str, str] = {}
    for name, number in numbers.items():
        digits = fingerprints[name]
        keys = [(at, digits[at : at + _BAND_DIGITS]) for at in range(0, len(digits), _BAND_DIGITS)]
        near = {
            other: distance
            for key in keys
            for other in bands[key]
            if (distance := (numbers[other] ^ number).bit_count()) <= farthest_bits
        }
        if near:
            originals[name] = min(near, key=lambda other: (near[other], other))
        else:
            for key in keys:
                bands[key].append(name)
    return originals
