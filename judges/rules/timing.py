"""Length and rate: clips too short to show anything, films among clips, and rates that no camera has."""

from judges.rules.clip import JudgedClip
from judges.rules.rule import Measured, Rule

LEAST_FRAMES = 8
LONGEST_S, SHORTEST_S = 120.0, 0.4
SLOWEST_HZ, FASTEST_HZ = 2.0, 130.0


def length(clip: JudgedClip) -> Measured:
    """1 for a length that can be judged, 0 for one that cannot."""
    seconds = len(clip) / clip.rate_hz
    good = len(clip) >= LEAST_FRAMES and SHORTEST_S <= seconds <= LONGEST_S
    return Measured(
        float(good),
        f"{len(clip)} frames, {seconds:.1f} s; expected at least {LEAST_FRAMES} and {SHORTEST_S:g} to {LONGEST_S:g} s",
        {"seconds": round(seconds, 3)},
    )


def rate(clip: JudgedClip) -> Measured:
    """1 for a rate that a camera or a generator has, 0 for another."""
    good = SLOWEST_HZ <= clip.rate_hz <= FASTEST_HZ
    return Measured(float(good), f"{clip.rate_hz:g} Hz; expected {SLOWEST_HZ:g} to {FASTEST_HZ:g}")


LENGTH = Rule(name="length", measure=length, threshold=1.0, better="higher")
RATE = Rule(name="rate", measure=rate, threshold=1.0, better="higher")
