"""Identity and randomness: both follow from content, never from time, position or process."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

ID_DIGITS = 32


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain, allow_nan=False)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")


def content_id(*parts: Any) -> str:
    """128-bit hexadecimal id of `parts`: equal content gives an equal id on every machine."""
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()[:ID_DIGITS]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_crc32c(path: Path) -> int:
    """The crc32c (Castagnoli) of a file's bytes, as manifests hold it."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = google_crc32c.extend(value, block)
    return value


@dataclass(frozen=True)
class Randomness:
    """The only source of randomness of a stage: (run seed, stage, name) -> a generator.

    A unit that is computed twice, on any machine and in any order, draws the same numbers.
    """

    run_seed: int
    stage: str

    def seed_of(self, name: str) -> int:
        """A 63-bit seed for `name`, for libraries that seed themselves."""
        return int(content_id(self.run_seed, self.stage, name)[:16], 16) >> 1

    def of(self, name: str) -> np.random.Generator:
        """The generator for `name`, usually an episode id."""
        return np.random.default_rng(self.seed_of(name))
