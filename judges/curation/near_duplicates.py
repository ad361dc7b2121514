"""Clips that are there twice: found over a whole data set from the hashes that the verdicts hold, without any frame.

Hashes are cut into bands; two clips that agree in one band are compared bit by bit (locality-sensitive hashing,
Indyk and Motwani 1998), so a million clips need no million squared comparisons. The first clip of a group stays.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judges.curation.picture_hash import LOOKS, distance
from storage.atomic_files import read_json
from storage.episode import Episode
from storage.errors import ConfigError
from storage.ids import Randomness
from storage.outcomes import Kept, Outcome
from storage.verdicts.verdicts import Verdict, effective, verdicts_of

JUDGE = "near_duplicate"
TABLE_FILE = "near_duplicates.json"
Hashes = tuple[Sequence[str], Sequence[str]]
"""Of one clip: hashes of its pictures, hashes of its changes."""

_BANDS = 4
_CROWD = 200
"""Bands that so many clips share say nothing (black, blank walls); only neighbours in them are compared."""


@dataclass(frozen=True, kw_only=True)
class NearDuplicateConfig:
    """`table` is the file that `find_near_duplicates` gave. Two clips are the same when their pictures differ in at
    most `picture_bits` of 64 and their changes in at most `change_bits`."""

    table: str = field(default=f"@dataset/{TABLE_FILE}", metadata={"identity": False})
    picture_bits: float = 6.0
    change_bits: float = 16.0

    def __post_init__(self) -> None:
        if not 0 <= self.picture_bits < 32 or not 0 <= self.change_bits <= 64:
            raise ConfigError(
                f"picture_bits is 0 to 32 and change_bits 0 to 64; got {self.picture_bits} and {self.change_bits}"
            )


def find_near_duplicates(root: Path, config: NearDuplicateConfig) -> dict[str, tuple[str, float]]:
    """Episode -> (the episode that it repeats, bits between their pictures), for every repeat in a data set."""
    hashes: dict[str, Hashes] = {}
    judged: set[str] = set()
    for episode_id, verdicts in verdicts_of(root).items():
        by_judge = effective(verdicts)
        if JUDGE in by_judge:
            judged.add(episode_id)
        evidence = by_judge["picture_hash"].evidence if "picture_hash" in by_judge else {}
        if len(evidence.get("pictures", ())) == LOOKS:
            hashes[episode_id] = (evidence["pictures"], evidence["changes"])
    return group_duplicates(hashes, config, judged)


def group_duplicates(
    hashes: Mapping[str, Hashes], config: NearDuplicateConfig, judged: Collection[str] = ()
) -> dict[str, tuple[str, float]]:
    """The same from hashes alone; every repeat points at a clip that is none. Of two clips the later repeats the
    earlier: those in `judged` come first, then by id, so that what is added later changes no verdict."""
    order = {name: place for place, name in enumerate(sorted(hashes, key=lambda name: (name not in judged, name)))}
    near: dict[str, list[tuple[int, str, float]]] = defaultdict(list)
    for one, other in _candidates(hashes, order):
        away = distance(hashes[one][0], hashes[other][0])
        if away <= config.picture_bits and distance(hashes[one][1], hashes[other][1]) <= config.change_bits:
            near[other].append((order[one], one, away))
    originals: dict[str, tuple[str, float]] = {}
    for name in sorted(near, key=order.__getitem__):
        first = next(((one, away) for _, one, away in sorted(near[name]) if one not in originals), None)
        if first is not None:
            originals[name] = first
    return originals


def _candidates(hashes: Mapping[str, Hashes], order: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Pairs (earlier, later) whose pictures agree in a band of a look, each once."""
    digits = 16 // _BANDS
    bands: dict[tuple[int, int, str], list[str]] = defaultdict(list)
    for name in order:
        for look, text in enumerate(hashes[name][0]):
            for band in range(_BANDS):
                bands[look, band, text[band * digits : (band + 1) * digits]].append(name)
    seen: set[tuple[str, str]] = set()
    for names in bands.values():
        for place, one in enumerate(names):
            reach = len(names) if len(names) <= _CROWD else place + 10
            for other in names[place + 1 : reach]:
                if (one, other) not in seen:
                    seen.add((one, other))
                    yield one, other


class NearDuplicates:
    """The stage `near_duplicates`: one verdict for each clip, from the table."""

    def __init__(self, config: NearDuplicateConfig) -> None:
        self._config = config
        self._table: Mapping[str, Any] = read_json(Path(config.table))

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness, /) -> list[list[Outcome]]:
        return [[Kept(episode.adding(verdicts=(self._verdict(episode),)))] for episode in episodes]

    def _verdict(self, episode: Episode) -> Mapping[str, Any]:
        original, away = self._table.get(episode.episode_id, ("", 64.0))
        return Verdict(
            judge=JUDGE,
            passed=not original,
            score=round(away, 2),
            threshold=self._config.picture_bits,
            better="higher",
            reason=f"the same pictures as {original}" if original else "",
        ).to_json()
