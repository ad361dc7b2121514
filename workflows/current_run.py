"""Which data set this command works into: for what is said when it is interrupted, or dies."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.progress.display import ProgressDisplay
    from pipelines.progress.job_counts import Tally

NOTE = "PYRAMID_RUN_NOTE"
"""Environment variable: a file that gets the folder of the data set, for the process that watches over this one."""
_roots: list[Path] = []
_ended: "list[Tally]" = []


def current_root() -> Path | None:
    """The data set of the job that runs, or ran last."""
    return _roots[-1] if _roots else None


class NotedProgress:
    """A progress display that also notes where the run is."""

    def __init__(self, display: "ProgressDisplay") -> None:
        self._display = display

    def begin(self, tally: "Tally") -> None:
        _roots.append(Path(tally.root))
        if note := os.environ.get(NOTE):
            Path(note).write_text(tally.root)
        self._display.begin(tally)

    def changed(self, tally: "Tally") -> None:
        self._display.changed(tally)

    def end(self, tally: "Tally") -> None:
        _ended.append(tally)
        self._display.end(tally)

    def said(self, text: str) -> None:
        self._display.said(text)


def how_to_go_on() -> str:
    """What to do after a run ended early."""
    root = current_root()
    return f"{continuation(root)}" if root else "nothing had been started yet"


def continuation(root: Path) -> str:
    """How the run in `root` goes on; that of a recipe, where `root` is a data set that one of its steps works in."""
    for outer in list(root.parents)[:3]:
        if (outer / "recipe.yaml").is_file() and (outer / "dataset.json").is_file():
            return f"the same command goes on from here, or `pyramid run {outer / 'recipe.yaml'}` does"
    return f"the same command goes on from here, or `pyramid resume {root}` does what was planned"


def refuse_given_up() -> None:
    """Raise WorkFailedError where a job of this command gave units up, unless it has all that it wanted: what was asked
    for is not all there."""
    from storage.errors import WorkFailedError

    ended, _ended[:] = list(_ended), []
    lost = [tally for tally in ended if tally.dead_units and not 0 < tally.target <= tally.kept]
    if lost:
        names = ", ".join(f"{tally.dead_units} units of {tally.job}" for tally in lost)
        root = lost[0].root
        raise WorkFailedError(
            f"{names} failed for good; their causes are in {root}, in the folders failed, and `pyramid resume {root}`"
            " tries again"
        )
