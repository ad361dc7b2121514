"""The stage `lapa_label`: a latent action for every step that has one.

Writes, in the order of the steps:

    action/latent        (F, C x D) float32   the embedding before quantisation; NaN where there is none
    label/codes          (F, I) int32         the indices of the codes; -1 where there is none
    label/valid/latent   (F,) bool
    label/flags/latent   (F,) uint8           why there is none: bits of `lapa.labelling.frame_flags`

A step has no label when its later frame lies beyond the clip or across a cut, or when either frame is black or does not
decode, or when nothing moves in between. A label is never invented for it.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from lapa.fitting.clips import Clip, ClipConfig, read_clip
from lapa.fitting.fit import LoadedModel, load_model
from lapa.fitting.frame_pairs import WindowConfig
from lapa.labelling.encode_clip import encode_clip
from lapa.labelling.frame_flags import flag_shares
from lapa.labelling.label_config import LapaLabelConfig, model_folder
from storage.episode import Episode
from storage.errors import ConfigError, InputError, UnfitModelError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome

log = logging.getLogger(__name__)


class LapaLabel:
    """Labels episodes with one model. Raises UnfitModelError for a model that fails its gates, unless forced."""

    def __init__(self, config: LapaLabelConfig) -> None:
        self.config = config
        loaded = load_model(model_folder(config.model))
        if loaded.failures and not config.force:
            raise UnfitModelError(
                f"the model {config.model!r} fails its own gates: {'; '.join(loaded.failures)}."
                " Fit it longer or on more varied data; force=True labels all the same and records the failure"
            )
        device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
        loaded.model.to(device)
        self.loaded = replace(loaded, clips=_clip_config(loaded, config))

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        """One outcome an episode: with its latents, or dropped with the reason why it can have none."""
        return [[self._label(episode)] for episode in episodes]

    def _label(self, episode: Episode) -> Outcome:
        size_px = (self.loaded.model.config.height_px, self.loaded.model.config.width_px)
        try:
            clip = read_clip(episode, size_px, self.loaded.clips)
        except ConfigError:
            raise
        except InputError as error:
            return Dropped(episode_id=episode.episode_id, reason="no latent action", detail={"why": str(error)})
        shares = flag_shares(clip.flags)
        if not len(clip.pairs):
            why = ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if name != "valid" and share)
            detail = {"why": f"every step is masked: {why}", "masked": shares}
            return Dropped(episode_id=episode.episode_id, reason="no latent action", score=0.0, detail=detail)
        return Kept(label_clip(self.loaded, clip, batch=self.config.batch))


def label_clip(loaded: LoadedModel, clip: Clip, *, batch: int = 64) -> Episode:
    """The episode of `clip` with its latent actions."""
    found = encode_clip(loaded.model, clip, batch=batch)
    config, steps = loaded.model.config, clip.episode.length
    latent = np.full((steps, config.latent_size), np.nan, np.float32)
    latent[clip.pairs] = found.latent
    codes = np.full((steps, config.indices), -1, np.int32)
    codes[clip.pairs] = found.indices
    arrays: dict[str, Any] = {
        "action/latent": latent,
        "label/valid/latent": clip.flags == 0,
        "label/flags/latent": clip.flags,
    }
    if config.indices:
        arrays["label/codes"] = codes
    about = {
        "model": loaded.card.content_hash,
        "preset": loaded.card.preset,
        "camera": clip.camera,
        "window_s": clip.window_s,
        "masked": flag_shares(clip.flags),
        "failed_gates": list(loaded.failures),
    }
    return clip.episode.adding(arrays=arrays, provenance={"lapa": about})


def _clip_config(loaded: LoadedModel, config: LapaLabelConfig) -> ClipConfig:
    trained = loaded.clips.windows
    windows = WindowConfig(
        robot_s=trained.robot_s,
        slow_s=trained.slow_s,
        by_embodiment={**trained.by_embodiment, **config.windows_s},
        tolerance=trained.tolerance,
    )
    return replace(loaded.clips, cameras=config.cameras or loaded.clips.cameras, windows=windows)
