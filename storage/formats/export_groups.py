"""How every export goes: episodes one at a time, each into the group of its kind, and the whole published at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storage.episode import Episode
from storage.errors import ConfigError
from storage.formats.export_report import ExportReport, Progress, group_name, publish, staged, told
from storage.frames import Frames


class ExportGroup(Protocol):
    """A data set or file of equal episodes in the making, at `path`."""

    path: Path

    def add(self, episode: Episode, cameras: Mapping[str, Frames]) -> None:
        """Write one more episode."""

    def finish(self) -> None:
        """Write what is known only at the end, and close everything."""

    def abandon(self) -> None:
        """Let go of what is open; nothing of it is kept."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The kind of an episode: all of one `key` go into one group, which `begin` makes at a path. `cameras` are those of
    the episode that the format has a place for."""

    key: str
    cameras: Mapping[str, Frames]
    begin: Callable[[Path], ExportGroup]


def write_groups(
    episodes: Iterable[Episode],
    target: Path,
    kind_of: Callable[[Episode], Kind],
    *,
    left_out: Mapping[str, int],
    suffix: str = "",
    progress: Progress | None = None,
    complete: Callable[[Path], None] | None = None,
) -> ExportReport:
    """Write `episodes` as the folder `target`, or as a file with `suffix`; several kinds become a folder of them.

    `left_out` is read when everything is written; `complete` may add to each finished group. Nothing is at the target
    before everything is. Raises AlreadyWrittenError when it exists, ConfigError without episodes, WorldError when the
    disk is full.
    """
    groups: dict[str, ExportGroup] = {}
    names: set[str] = set()
    done = steps = 0
    with staged(target) as folder, _abandoned_on_error(groups):
        for episode in episodes:
            kind = kind_of(episode)
            if kind.key not in groups:
                name = group_name(episode, kind.cameras, names)
                groups[kind.key] = kind.begin(folder / f"{name}{suffix}")
            groups[kind.key].add(episode, kind.cameras)
            done, steps = done + 1, steps + episode.length
            if progress:
                progress(done, steps)
        if not groups:
            raise ConfigError(f"nothing to export to {target}: there are no episodes")
        for group in groups.values():
            group.finish()
            if complete:
                complete(group.path)
        if len(groups) == 1:
            paths = [publish(next(iter(groups.values())).path, target)]
        else:
            whole = publish(folder, target.with_suffix("") if suffix else target)
            paths = [whole / group.path.name for group in groups.values()]
    return told(ExportReport(paths=tuple(paths), episodes=done, steps=steps, left_out=left_out))


@contextmanager
def _abandoned_on_error(groups: Mapping[str, ExportGroup]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for group in groups.values():
            group.abandon()
        raise
