"""The stage `lapa_label`: a latent action for every step that has one.

Writes, in the order of the steps and in the language of `storage.labelling.labels`:

    action/latent        (F, C x D) float32   the embedding before quantisation; NaN where there is none
    label/codes          (F, I) int32         the indices of the codes; -1 where there is none
    label/valid/latent   (F,) bool
    label/flags/latent   (F,) uint16          why there is none

A step has no label when its two frames lie across a cut, when either is dark or does not decode, when nothing moves in
between, or only the camera: by the pictures, and by the camera's motion where curation has labelled it. At the end of a
clip, where the later moment would lie beyond it, a step takes the label of the last window that lies inside and covers
it, and says so by a flag. A label is never invented.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groot.device import device_of
from lapa.fitting.clips import ClipConfig, window_of, with_recorded_faults
from lapa.fitting.frame_pairs import FramePairConfig
from lapa.labelling.camera_share import HEAD_TURNED, camera_share
from lapa.labelling.encode_clip import VideoReading, encode_video
from lapa.labelling.frame_flags import moved_back, pair_flags
from lapa.labelling.label_config import LapaLabelConfig, model_folder
from lapa.labelling.saved_model import LapaModel, load_lapa
from lapa.labelling.understanding import Understanding
from storage.episode import Episode
from storage.errors import ConfigError, InputError, MissingFileError, UnfitModelError
from storage.ids import Randomness
from storage.labelling.labels import (
    FLAGS_DTYPE,
    NO_CODE,
    DropReason,
    LabelFlag,
    flag_shares,
    step_shares,
    without_label,
)
from storage.outcomes import Dropped, Kept, Outcome
from storage.pictures.read_ahead import Reading

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ClipLabels:
    """Labels of one clip: `latent` (T, C x D), NaN where not valid, `codes` (T, I), `flags` (T,)."""

    camera: str
    window_s: float
    latent: NDArray[np.float32]
    codes: NDArray[np.int32]
    flags: NDArray[np.uint16]
    understanding: Understanding

    @property
    def valid(self) -> NDArray[np.bool_]:
        labelled: NDArray[np.bool_] = (self.flags & LabelFlag.UNLABELLED) == 0
        return labelled


class LabelLatents:
    """Labels episodes with one model. Raises UnfitModelError for a model that fails its gates, unless forced."""

    def __init__(self, config: LapaLabelConfig) -> None:
        self.config = config
        loaded = load_lapa(model_folder(config.model))
        if loaded.failures and not config.force:
            raise UnfitModelError(
                f"the model {config.model!r} fails its own gates: {'; '.join(loaded.failures)}."
                " Fit it longer or on more varied data; force=True labels all the same and records the failure"
            )
        loaded.network.to(device_of(config.device))
        self.model = replace(loaded, clips=_clip_config(loaded, config))

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        """One outcome an episode: with its latents, or dropped with the reason why it can have none."""
        return [[self.outcome(episode)] for episode in episodes]

    def outcome(self, episode: Episode) -> Outcome:
        """The episode with its labels, or the reason why it has none."""
        try:
            labels = label_clip(self.model, episode, self.config)
        except ConfigError:
            raise
        except InputError as error:
            return Dropped(episode_id=episode.episode_id, reason=_reason(episode, error), detail={"why": str(error)})
        understood = labels.understanding
        if understood.failures and not self.config.force:
            detail = {"why": "; ".join(understood.failures), "figures": understood.figures()}
            return Dropped(episode_id=episode.episode_id, reason=DropReason.UNFIT_MODEL, detail=detail)
        if not labels.valid.any():
            shares = step_shares(labels.flags)
            why = ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if name != "labelled" and share)
            return Dropped(
                episode_id=episode.episode_id,
                reason=DropReason.NOTHING_LABELLED,
                score=0.0,
                detail={"why": f"no step has a label: {why}", "masked": shares},
            )
        return Kept(self._labelled(episode, labels))

    def _labelled(self, episode: Episode, labels: ClipLabels) -> Episode:
        arrays: dict[str, Any] = {
            "action/latent": labels.latent,
            "label/valid/latent": labels.valid,
            "label/flags/latent": labels.flags,
        }
        if self.model.config.indices:
            arrays["label/codes"] = labels.codes
        about = {
            "model": self.model.content_hash,
            "preset": self.model.card.preset,
            "camera": labels.camera,
            "window_s": labels.window_s,
            "masked": step_shares(labels.flags),
            "flagged": flag_shares(labels.flags),
            "understanding": labels.understanding.figures(),
            "failed_gates": [*self.model.failures, *labels.understanding.failures],
        }
        return episode.adding(arrays=arrays, provenance={"lapa": about})


def label_clip(model: LapaModel, episode: Episode, config: LapaLabelConfig) -> ClipLabels:
    """The labels of an episode; raises InputError when it has no video, not the camera, or is too short."""
    camera = model.clips.camera_of(episode)
    window_s, later = window_of(episode, model.clips)
    read = encode_video(
        model.network,
        episode.cameras[camera],
        later,
        reading=Reading(block=config.block, threads=config.threads),
        batch=config.batch,
        samples=min(config.samples, max(episode.length // 25, 4)) if config.samples else 0,
        checks=model.clips.cuts,
    )
    flags = pair_flags(with_recorded_faults(read.check, episode), later)
    turned = camera_share(episode, later) >= HEAD_TURNED
    flags[turned] |= FLAGS_DTYPE(LabelFlag.UNLABELLED | LabelFlag.CAMERA_MOTION)
    understanding = Understanding.of(read, flags)
    if config.camera_motion == "flag":
        flags[flags == LabelFlag.UNLABELLED | LabelFlag.CAMERA_MOTION] = LabelFlag.CAMERA_MOTION
    if understanding.failures:
        flags |= FLAGS_DTYPE(LabelFlag.UNFAMILIAR)
    return _spread(read, flags, later, camera=camera, window_s=window_s, understanding=understanding)


def _spread(
    read: VideoReading,
    flags: NDArray[np.uint16],
    later: NDArray[np.int64],
    *,
    camera: str,
    window_s: float,
    understanding: Understanding,
) -> ClipLabels:
    """Labels of steps from those of pairs."""
    taken = moved_back(later)
    covered = np.flatnonzero(taken >= 0)
    flags[covered] = flags[taken[covered]]
    flags[covered[taken[covered] != covered]] |= FLAGS_DTYPE(LabelFlag.STRETCHED)
    rows = np.searchsorted(read.pairs, taken[covered])
    valid = (flags & LabelFlag.UNLABELLED) == 0
    latent = np.zeros((len(flags), read.latents.latent.shape[1]), np.float32)
    latent[covered] = read.latents.latent[rows]
    codes = np.full((len(flags), read.latents.indices.shape[1]), NO_CODE, np.int32)
    codes[covered] = read.latents.indices[rows]
    return ClipLabels(
        camera=camera,
        window_s=window_s,
        latent=without_label(latent, valid),
        codes=np.where(valid[:, None], codes, NO_CODE).astype(np.int32),
        flags=flags,
        understanding=understanding,
    )


def _reason(episode: Episode, error: InputError) -> DropReason:
    if not episode.cameras:
        return DropReason.NO_VIDEO
    return DropReason.MISSING_CAMERA if isinstance(error, MissingFileError) else DropReason.TOO_SHORT


def _clip_config(model: LapaModel, config: LapaLabelConfig) -> ClipConfig:
    trained = model.clips.windows
    windows = FramePairConfig(
        robot_s=trained.robot_s,
        slow_s=trained.slow_s,
        by_embodiment={**trained.by_embodiment, **config.windows_s},
        tolerance=trained.tolerance,
    )
    return replace(model.clips, cameras=config.cameras or model.clips.cameras, windows=windows)
