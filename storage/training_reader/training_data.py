"""One data set to fit a labeller to, and which of its episodes are never trained on."""

from collections.abc import Iterable
from dataclasses import dataclass

from storage.datasets.dataset import Dataset
from storage.errors import ConfigError
from storage.ids import content_id
from storage.training_reader.config import Source

HELD_OUT_SHARE = 0.15


def held_out_ids(ids: Iterable[str], share: float) -> frozenset[str]:
    """`share` of the episodes `ids`, by the hash of their ids, so the same ones on every machine; at least one of two
    or more where `share` is above 0."""
    ranked = sorted(ids, key=lambda name: content_id("held out", name))
    count = round(len(ranked) * share)
    if share and len(ranked) > 1:
        count = max(count, 1)
    return frozenset(ranked[:count])


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """One data set to learn from. `held_out_share` of its episodes, chosen by their ids, are kept for calibration and
    scores, unless `held_out` names them. `action` is the array of actions to learn ("" for none), `head` the name under
    which they are learned ("" for the embodiment's), `cameras` are cameras in order of preference where one view is
    learned from (() for the first by name)."""

    dataset: Dataset
    action: str = "action/ground_truth"
    weight: float | None = None
    embodiments: tuple[str, ...] = ()
    held_out_share: float = HELD_OUT_SHARE
    held_out: frozenset[str] = frozenset()
    head: str = ""
    cameras: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.held_out_share < 1:
            raise ConfigError(f"TrainingData.held_out_share must be in 0..1; got {self.held_out_share}")

    def episodes(self) -> tuple[frozenset[str], frozenset[str]]:
        """Ids of the training and of the held-out episodes; the same on every machine."""
        names = self.dataset.index.table["episode_id"].to_pylist()
        ids = [str(name) for name, read in zip(names, self.dataset.selected_rows(), strict=True) if read]
        if self.held_out:
            unknown = self.held_out - set(ids)
            if unknown:
                raise ConfigError(f"{self.dataset.name} has no episodes {sorted(unknown)[:3]} to hold out")
            return frozenset(ids) - self.held_out, self.held_out
        held_out = held_out_ids(ids, self.held_out_share)
        return frozenset(ids) - held_out, held_out

    def ids_of(self, head: str, *, held_out: bool) -> list[str]:
        """Ids of the training or held-out episodes of a head that have the wanted array of actions, sorted."""
        ids, index = self.episodes()[held_out], self.dataset.index
        chosen_ids: list[str] = []
        for unit_id, (first, behind) in index.rows_of_unit.items():
            embodiment = index.layout(unit_id)["embodiment"]
            wanted = not self.embodiments or embodiment in self.embodiments
            there = not self.action or self.action in self.dataset.arrays(unit_id)
            if wanted and there and (self.head or embodiment) == head:
                names = index.table["episode_id"].slice(first, behind - first).to_pylist()
                chosen_ids += [name for name in names if name in ids]
        return sorted(chosen_ids)

    def source(self, ids: frozenset[str]) -> Source:
        """The episodes `ids` of it as a source of the training reader."""
        return Source(
            dataset=self.dataset,
            action=self.action,
            weight=self.weight,
            embodiments=self.embodiments,
            episodes=ids,
            head=self.head,
        )
