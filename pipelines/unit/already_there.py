"""No episode twice: which ones a data set holds already, in units that are not of the job that asks.

Within a job ids differ by construction. Two jobs may bring the same episode (a source imported under two names, one
clip watched with two settings): the first that commits it has it, and the other one counts it as dropped.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow
import pyarrow.compute

from storage.datasets.index import read_index
from storage.datasets.manifest import read_manifest
from storage.datasets.plan import FOLDER, plan_files, read_unit_ids
from storage.datasets.unit_paths import STAGING, Sink
from storage.locks import holding
from storage.outcomes import Dropped
from storage.verification.twins import IN_ANOTHER_UNIT


class AnotherWasFasterError(Exception):
    """Between looking and committing another job committed one of the same episodes: look again."""


class AlreadyThere:
    """The episodes of the data set in `root` that are not of units of `job`. What is committed meanwhile is seen."""

    def __init__(self, root: Path, job: str) -> None:
        self._sink, self._job = Sink(root), job
        self._own: set[str] = set()
        self._own_files: list[Path] = []
        self._seen: set[str] = set()
        self._indexed: pyarrow.ChunkedArray | None = None
        self._late: set[str] = set()

    def among(self, ids: Iterable[str]) -> frozenset[str]:
        """Those of `ids` that the data set holds already."""
        self._look()
        asked = list(ids)
        late = self._late.intersection(asked)
        if self._indexed is not None and asked:
            mask = pyarrow.compute.is_in(pyarrow.array(asked), value_set=self._indexed)
            late |= {name for name, there in zip(asked, mask.to_pylist(), strict=True) if there}
        return frozenset(late)

    @contextmanager
    def kept_out(self, ids: Collection[str]) -> Iterator[None]:
        """Commit inside: no other job commits one of `ids` meanwhile. Raises AnotherWasFasterError where one has."""
        if self._is_alone():
            yield
            return
        with holding(self._sink.root / STAGING / "episodes.lock"):
            if self.among(ids):
                raise AnotherWasFasterError
            yield

    def _is_alone(self) -> bool:
        """Whether no other job was ever planned here."""
        return {path.stem for path in (self._sink.root / FOLDER).glob("*.json")} <= {self._job}

    def _look(self) -> None:
        committed = self._sink.committed()
        if committed <= self._seen:
            return
        self._read_own()
        first = not self._seen
        stored = read_index(self._sink) if first and committed - self._own else None
        if stored is not None:
            foreign = sorted((set(stored.layout_of_unit) & committed) - self._own)
            units = stored.table["unit_id"].cast(pyarrow.string())
            rows = pyarrow.compute.is_in(units, value_set=pyarrow.array(foreign, pyarrow.string()))
            self._indexed = stored.table["episode_id"].filter(rows)
            self._seen |= set(foreign)
        for unit_id in committed - self._seen - self._own:
            self._late |= {str(each["episode_id"]) for each in read_manifest(self._sink.manifest(unit_id)).episodes}
        self._seen |= committed

    def _read_own(self) -> None:
        files = plan_files(self._sink.root, self._job)
        for path in files:
            if path not in self._own_files:
                self._own |= set(read_unit_ids(path))
        self._own_files = files


def dropped(ids: Iterable[str]) -> tuple[Dropped, ...]:
    """The decisions against episodes that are there already."""
    return tuple(Dropped(episode_id=name, reason=IN_ANOTHER_UNIT) for name in ids)
