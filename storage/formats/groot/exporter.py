"""Exporting for NVIDIA's GR00T trainers N1.5, N1.6 and N1.7: LeRobot v2.1, and what each version wants beside it.

`meta/relative_stats.json` (N1.6, N1.7) and `groot_modality_config.py` are written into every data set,
`meta/groot.json` says which tag, head and horizon they stand for. Rotations of six numbers in our own embodiments
become GR00T's row form, and stand beside it as they are, so that an import finds them again; recordings that came from
a GR00T data set hold that form already.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from storage.embodiment import Layout, embodiment_named
from storage.episode import Episode
from storage.errors import ConfigError, UnknownNameError
from storage.formats.export_report import ExportReport, Progress
from storage.formats.groot.action_keys import action_keys
from storage.formats.groot.modality_config import CONFIG_FILE, ConfigSketch, config_text
from storage.formats.groot.relative_statistics import relative_statistics
from storage.formats.groot.rotation import rows_of_columns
from storage.formats.groot.versions import KNOWN_TAGS, NEW_EMBODIMENT, RULES, GrootVersion
from storage.formats.lerobot.exporter import LeRobotExport, export_lerobot
from storage.formats.lerobot.meta import read_lerobot_meta


@dataclass(frozen=True, kw_only=True)
class GrootExport:
    """Settings of an export. `horizon` 0 is the version's own; `tag` "" is the tag whose layout the embodiment has,
    else a new embodiment."""

    version: GrootVersion = "n1.7"
    horizon: int = 0
    tag: str = ""
    lerobot: LeRobotExport = field(default_factory=LeRobotExport)

    def __post_init__(self) -> None:
        if self.version not in get_args(GrootVersion):
            raise UnknownNameError.among("version of GR00T", self.version, get_args(GrootVersion))
        if self.horizon < 0:
            raise ConfigError(f"horizon is a number of steps, or 0 for the version's own; got {self.horizon}")
        if self.tag and self.tag not in RULES[self.version].tags:
            known = RULES[self.version].tags
            raise UnknownNameError.among("embodiment tag", self.tag, known, hint=f"(of GR00T {self.version})")
        if self.lerobot.version != "v2.1":
            raise ConfigError("the GR00T trainers read LeRobot v2.1 only")


def export_groot(
    episodes: Iterable[Episode], target: Path, config: GrootExport | None = None, progress: Progress | None = None
) -> ExportReport:
    """Write `episodes` as `target`, one data set for each kind, each ready for the trainer of `config.version`.

    Raises AlreadyWrittenError when `target` exists, ConfigError without episodes.
    """
    config = config or GrootExport()
    return export_lerobot(
        episodes,
        target,
        config.lerobot,
        progress,
        complete=lambda folder: _complete(folder, config),
        shown=in_row_form,
    )


def _complete(root: Path, config: GrootExport) -> None:
    """Add what the trainer wants to one exported data set."""
    rules, meta = RULES[config.version], read_lerobot_meta(root)
    (embodiment,) = (embodiment_named(name) for name in meta.ours["embodiments"])
    keys = action_keys(meta.modality, embodiment, rules)
    horizon = config.horizon or rules.horizon
    tag = config.tag or KNOWN_TAGS.get((embodiment.name, config.version), NEW_EMBODIMENT)
    sketch = ConfigSketch(modality=meta.modality, actions=keys, horizon=horizon, tag=tag, head=rules.tags[tag])
    (root / CONFIG_FILE).write_text(config_text(sketch, config.version))
    files = [root / meta.data_file(int(row["episode_index"])) for row in meta.episodes]
    if rules.relative:
        relative = relative_statistics(files, keys, horizon)
        (root / "meta" / "relative_stats.json").write_text(json.dumps(relative, indent=4) + "\n")
    short = sum(int(row["length"]) < horizon for row in meta.episodes)
    about = {
        "version": config.version,
        "embodiment_tag": tag,
        "embodiment_id": rules.tags[tag],
        "horizon": horizon,
        "actions": {key.name: key.kind for key in keys},
        "episodes_shorter_than_the_horizon": short,
        "fits_the_default_model": _width(meta.modality["state"]) <= rules.state_size
        and _width(meta.modality["action"]) <= rules.action_size,
    }
    (root / "meta" / "groot.json").write_text(json.dumps(about, indent=4) + "\n")


def _width(entries: dict[str, dict[str, int]]) -> int:
    return sum(int(entry["end"]) - int(entry["start"]) for entry in entries.values())


def in_row_form(episode: Episode) -> dict[str, NDArray[np.float32]]:
    """The vectors of `episode` that hold rotations of six numbers, each of these as the first two rows of its matrix;
    none of an episode that came from elsewhere, whose rows are rows already."""
    if _came_with_rows(episode):
        return {}
    embodiment = embodiment_named(episode.embodiment)
    turned = {}
    for name, layout in (
        ("state", embodiment.state),
        ("action/ground_truth", embodiment.action),
        ("action/predicted", embodiment.action),
    ):
        spans = _rotations(layout) if name in episode.arrays else []
        if spans:
            turned[name] = episode.arrays[name].copy()
            for span in spans:
                turned[name][:, span] = rows_of_columns(turned[name][:, span])
    return turned


def _came_with_rows(episode: Episode) -> bool:
    """Whether an episode comes from somebody else's data set, through whatever exports of ours it went since."""
    record = episode.provenance.get("imported", {})
    while record.get("own_export"):
        record = record.get("before", {})
    return bool(record.get("words"))


def _rotations(layout: Layout) -> list[slice]:
    return [span for part, span in layout if part.quantity == "rotation_6d"]
