from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from judges.curation.watch import WatchVideo
from judges.curation.watch_config import WatchConfig
from storage.episode import Episode
from storage.formats.human_video.testing import items_of
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept

Watched = tuple[list[Episode], list[Dropped]]


@pytest.fixture
def watch() -> Callable[..., Watched]:
    """`watch(path, listing={...}, **settings)`: the clips and the drops of a source."""

    def run(path: Path, listing: Mapping[str, Any] | None = None, **settings: Any) -> Watched:
        stage = WatchVideo(WatchConfig(**settings))
        outcomes = stage(items_of(path, **(listing or {})), Randomness(0, "watch"))
        flat = [outcome for found in outcomes for outcome in found]
        kept = [outcome.episode for outcome in flat if isinstance(outcome, Kept)]
        return kept, [outcome for outcome in flat if isinstance(outcome, Dropped)]

    return run
