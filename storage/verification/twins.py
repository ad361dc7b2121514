"""One episode in two units would be drawn twice for ever: refused where data sets meet, and taken out by `repair`."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pyarrow.compute

from storage.datasets.commit import Attempt
from storage.datasets.dataset import Dataset
from storage.datasets.manifest import Manifest
from storage.datasets.unit_paths import Sink
from storage.errors import CorruptFileError
from storage.outcomes import Dropped
from storage.shards.reader import Shard
from storage.shards.writer import ShardWriter

IN_ANOTHER_UNIT = "already in the data set"
"""The reason of a dropped episode that another unit brought before."""


def refuse_twins(dataset: Dataset) -> None:
    """Raise CorruptFileError where `dataset` holds an episode more than once."""
    ids = dataset.index.table["episode_id"]
    twice = len(ids) - pyarrow.compute.count_distinct(ids).as_py()
    if twice:
        raise CorruptFileError(
            f"{dataset.root} holds {twice} episodes more than once; `pyramid data verify` names them, `pyramid data"
            " repair` leaves each of them in one unit only"
        )


def write_without(shard: Path, manifest: Manifest, sink: Sink, twins: Collection[str]) -> None:
    """Commit the unit of `manifest`, whose files lie in `shard`, without the episodes `twins`; frames stay as they are
    encoded. The unit must not be there."""
    source = Shard(shard)
    places = [place for place, record in enumerate(source.episodes) if record["episode_id"] not in twins]
    with Attempt(sink, manifest.unit_id) as attempt:
        record = None
        if places:
            with ShardWriter(attempt.path, unit_id=manifest.unit_id) as writer:
                for place in places:
                    writer.add(source.episode(place))
                record = writer.close()
        told = {drop.episode_id for drop in manifest.dropped}
        more = tuple(Dropped(episode_id=name, reason=IN_ANOTHER_UNIT) for name in sorted(twins) if name not in told)
        kept = () if sink.is_labels else more
        attempt.publish(replace(manifest, shard=record, dropped=(*manifest.dropped, *kept)))
