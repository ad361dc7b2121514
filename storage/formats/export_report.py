"""What every export shares: a target that appears whole or not at all, groups of equal episodes, and the report."""

import logging
import os
import re
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.episode import Episode
from storage.errors import AlreadyWrittenError
from storage.frames import Frames, frame_codec
from storage.ids import content_id
from storage.shards.streams import disk_errors

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called after each episode with the episodes and steps that are done."""


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What was written: the data sets or files, counts, and what had no place in the format ("camera depth": 3)."""

    paths: tuple[Path, ...]
    episodes: int
    steps: int
    left_out: Mapping[str, int]


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A folder beside `target` to write into; it is removed afterwards, so move out what is to stay.

    Folders of exports to `target` that were killed on this machine are removed first. Raises AlreadyWrittenError when
    `target` is there and is not an empty folder, WorldError when the disk is full or cannot be written.
    """
    with disk_errors(target), _folder_for(target) as folder:
        yield folder


@contextmanager
def _folder_for(target: Path) -> Iterator[Path]:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise AlreadyWrittenError(f"{target} is there already; remove it or export to another path")
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_dead_exports(target)
    folder = target.with_name(f".{target.name}.partial-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:12]}")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_dead_exports(target: Path) -> None:
    """Remove what exports to `target` left behind whose process, on this machine, is no more."""
    mine = re.escape(f".{target.name}.partial-{socket.gethostname()}-")
    for path in target.parent.iterdir():
        match = re.fullmatch(rf"{mine}(\d+)-[0-9a-f]{{12}}", path.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            shutil.rmtree(path, ignore_errors=True)


def publish(staged_path: Path, target: Path) -> Path:
    """Rename what is finished to `target`, replacing an empty folder there."""
    if target.is_dir():
        target.rmdir()
    return staged_path.rename(target)


def colour_cameras(
    episode: Episode, wanted: tuple[str, ...], left_out: dict[str, int], *, depth: bool = False
) -> dict[str, Frames]:
    """The cameras of `episode` to be exported. Masks, and depth where the format has no place for it, are counted."""
    out = {}
    for name, frames in episode.cameras.items():
        if wanted and name not in wanted:
            continue
        if frame_codec(frames.codec).channels == 3 or (depth and frames.codec == "depth"):
            out[name] = frames
        else:
            left_out[f"camera {name} ({frames.codec})"] = left_out.get(f"camera {name} ({frames.codec})", 0) + 1
    return out


def group_name(episode: Episode, cameras: Mapping[str, Frames], taken: set[str]) -> str:
    """A folder name that tells embodiment, rate and cameras, made unique among `taken`."""
    parts = [episode.embodiment, f"{episode.rate_hz:g}hz", *sorted(cameras)]
    name = re.sub(r"[^A-Za-z0-9_.\-]", "_", "-".join(parts))[:100]
    unique, count = name, 1
    while unique in taken:
        count += 1
        unique = f"{name}-{count}"
    taken.add(unique)
    return unique


def group_key(episode: Episode, cameras: Mapping[str, Frames], extra: Any = None) -> str:
    """Episodes of one key fit into one homogeneous data set: embodiment, rate, cameras with sizes, arrays."""
    sizes = {name: (frames.height_px, frames.width_px) for name, frames in cameras.items()}
    arrays = {name: (str(array.dtype), array.shape[1:]) for name, array in episode.arrays.items()}
    return content_id(episode.embodiment, episode.rate_hz, sizes, arrays, extra)


def about(episode: Episode) -> dict[str, Any]:
    """What is said about an episode besides its arrays and frames, as JSON, for a later import to restore."""
    return {
        "episode_id": episode.episode_id,
        "parent_id": episode.parent_id,
        "layer": episode.layer,
        "embodiment": episode.embodiment,
        "instruction": episode.instruction,
        "original_instruction": episode.original_instruction,
        "rate_hz": episode.rate_hz,
        "verdicts": [dict(verdict) for verdict in episode.verdicts],
        "provenance": dict(episode.provenance),
    }


def told(report: ExportReport) -> ExportReport:
    """`report`, after a warning for everything that was left out."""
    for what, count in report.left_out.items():
        _LOG.warning("left out of %d episodes: %s has no place in the exported format", count, what)
    return report
