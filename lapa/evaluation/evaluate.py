"""What a latent action model knows, measured on data sets it may never have seen: `pyramid evaluate lapa`."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lapa.evaluation.probe_tables import Table, probe_tables
from lapa.fitting.clips import LapaClip, read_clips
from lapa.fitting.health import Health, measure, spread_steps
from lapa.fitting.targets import Motion, motion_of
from lapa.labelling.encode_clip import Latents, encode_clip
from lapa.labelling.label_config import model_folder
from lapa.labelling.saved_model import LapaModel, load_lapa
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.errors import ConfigError, InputError
from storage.labelling.labels import step_shares
from storage.training_reader.training_data import held_out_ids

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LapaEvaluateConfig:
    """`model` is a folder, or "starter". `parts` limits probes of an embodiment to some parts of its state.

    Episodes that the model held out are what is measured; in a data set that it never saw, `held_out_share` of the
    episodes are, and the rest serves to fit probes.
    """

    model: str
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    held_out_share: float = 0.25
    pairs: int = 2048
    pictures: int = 6

    def __post_init__(self) -> None:
        if not 0 < self.held_out_share < 1 or self.pairs < 16 or self.pictures < 0:
            raise ConfigError(
                "expected 0 < held_out_share < 1, pairs >= 16, pictures >= 0;"
                f" got {self.held_out_share}, {self.pairs}, {self.pictures}"
            )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All that was measured. `failures` are of the health measured here, not of the one on the model's card."""

    model: str
    preset: str
    content_hash: str
    health: Health
    failures: tuple[str, ...]
    probes: Mapping[str, Table]
    masked: Mapping[str, Mapping[str, float]]
    code_shares: Mapping[str, Sequence[float]]
    held_out: tuple[LapaClip, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON values; clips by their episodes' ids."""
        values = {name: value for name, value in self.__dict__.items() if name not in ("health", "held_out")}
        ids = [clip.episode.episode_id for clip in self.held_out]
        return {**values, "health": self.health.to_json(), "held_out": ids, "failures": list(self.failures)}


def evaluate_lapa(datasets: Sequence[Path], config: LapaEvaluateConfig) -> tuple[Evaluation, LapaModel]:
    """Measure a model on data sets; the model comes back too, for the report. Raises InputError without any pair."""
    loaded = load_lapa(model_folder(config.model))
    training, held_out = _episodes([Dataset.open(path) for path in datasets], loaded, config.held_out_share)
    size_px = loaded.size_px
    clips = [list(read_clips(episodes, size_px, loaded.clips)) for episodes in (training, held_out)]
    return evaluate_clips(loaded, clips[0], clips[1], config), loaded


def evaluate_clips(
    loaded: LapaModel, training: Sequence[LapaClip], held_out: Sequence[LapaClip], config: LapaEvaluateConfig
) -> Evaluation:
    """Measure a model on clips that were read already."""
    model = loaded.network

    def motion(clip: LapaClip, steps: Any) -> Motion | None:
        return motion_of(clip, steps, parts=config.parts.get(clip.episode.embodiment, ()))

    health = measure(model, held_out, pairs=config.pairs)
    return Evaluation(
        model=config.model,
        preset=loaded.card.preset,
        content_hash=loaded.card.content_hash,
        health=health,
        failures=health.failures(loaded.gates),
        probes=_probes(loaded, training, held_out, motion, config.pairs),
        masked=_masked([*training, *held_out]),
        code_shares=_code_shares(loaded, held_out, config.pairs),
        held_out=tuple(held_out),
    )


def _probes(
    loaded: LapaModel, training: Sequence[LapaClip], held_out: Sequence[LapaClip], motion: Any, pairs: int
) -> Any:
    if not training:
        log.warning("no episodes beside the held-out ones: probes are left out")
        return {}
    try:
        return probe_tables(loaded.network, training, held_out, motion=motion, pairs=2 * pairs)
    except InputError as error:
        log.warning("probes are left out: %s", error)
        return {}


def _episodes(datasets: Sequence[Dataset], loaded: LapaModel, share: float) -> tuple[list[Episode], list[Episode]]:
    """Episodes to fit probes on, and to measure on."""
    known = set(loaded.card.data.get("held_out", ()))
    training: list[Episode] = []
    held_out: list[Episode] = []
    for dataset in datasets:
        episodes = list(dataset.episodes())
        remembered = [episode for episode in episodes if episode.episode_id in known]
        if remembered:
            held_out += remembered
            training += [episode for episode in episodes if episode.episode_id not in known]
        elif len(episodes) < 2:
            held_out += episodes
        else:
            mine = held_out_ids([episode.episode_id for episode in episodes], share)
            training += [episode for episode in episodes if episode.episode_id not in mine]
            held_out += [episode for episode in episodes if episode.episode_id in mine]
    return training, held_out


def _masked(clips: Sequence[LapaClip]) -> dict[str, dict[str, float]]:
    """Source -> share of its steps that carries each flag."""
    flags = defaultdict(list)
    for clip in clips:
        flags[clip.source].append(clip.flags)
    return {source: step_shares(np.concatenate(each)) for source, each in sorted(flags.items())}


def _code_shares(loaded: LapaModel, clips: Sequence[LapaClip], pairs: int) -> dict[str, list[float]]:
    """Source -> share of each code."""
    size = loaded.network.config.quantizer.size
    by_name: dict[str, list[Latents]] = defaultdict(list)
    for clip, steps in zip(clips, spread_steps(clips, pairs), strict=True):
        by_name[clip.source].append(encode_clip(loaded.network, clip, steps))
    shares = {}
    for source, each in sorted(by_name.items()):
        counts = np.bincount(np.concatenate([latents.indices for latents in each]).ravel(), minlength=size)
        shares[source] = (counts / max(counts.sum(), 1)).round(5).tolist()
    return shares if size else {}
