"""Clips as latents and prompts as embeddings, computed once and kept by what they follow from.

A key holds the bytes of the frames, the shape of the clip, and marks of the autoencoder and the image encoder (of the
text encoder for prompts): Wan 2.1 and 2.2 have different autoencoders whose latents look alike.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generators.neural.clip_shape import ClipShape, cut_clip, frame_numbers
from groot.checkpoint import load_tensors, save_tensors
from storage.episode import Episode
from storage.ids import content_id

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CachedClips:
    """`clips` (N) and `texts` by prompt are CPU tensors; `prompts` (N) says which text goes with a clip."""

    clips: Sequence[Mapping[str, Any]]
    prompts: Sequence[str]
    texts: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.clips)


def cached_clips(
    model: Any, episodes: Sequence[Episode], camera: str, shape: ClipShape, *, per_episode: int, folder: Path
) -> CachedClips:
    """The clips of `episodes`, from `folder` where they are there already."""
    marks = [weights_mark(getattr(model.pipe, name, None)) for name in ("vae", "image_encoder")]
    clips, prompts = [], []
    for number, episode in enumerate(episodes):
        model.check_prompt(episode.instruction)
        for start_s in start_times(episode, shape, per_episode):
            key = content_id(frames_hash(episode, camera, shape, start_s), shape, marks)
            path = folder / "clips" / f"{key}.safetensors"
            if not path.exists():
                clip = cut_clip(episode, camera, shape, start_s=start_s)
                _put(path, model.clip_latents(clip))
            clips.append(load_tensors(path))
            prompts.append(episode.instruction)
        if (number + 1) % 50 == 0:
            log.info("%d of %d episodes as latents", number + 1, len(episodes))
    mark = weights_mark(model.pipe.text_encoder)
    texts = {}
    for prompt in sorted(set(prompts)):
        path = folder / "texts" / f"{content_id(prompt, mark, model.text_tokens)}.safetensors"
        if not path.exists():
            _put(path, {"text": model.text_latents(prompt)})
        texts[prompt] = load_tensors(path)["text"]
    return CachedClips(clips=clips, prompts=prompts, texts=texts)


def start_times(episode: Episode, shape: ClipShape, count: int) -> list[float]:
    """Where `count` clips of an episode begin, evenly, in seconds; one where it is no longer than a clip."""
    spare = episode.duration_s - shape.duration_s
    if spare <= 1 / episode.rate_hz or count == 1:
        return [0.0]
    return [spare * number / (count - 1) for number in range(count)]


def frames_hash(episode: Episode, camera: str, shape: ClipShape, start_s: float) -> str:
    """A hash of the encoded frames that a clip is cut from."""
    frames, digest = episode.cameras[camera], hashlib.sha256()
    for number in frame_numbers(episode, shape, start_s=start_s):
        digest.update(bytes(frames.payloads[int(number)]))
    return digest.hexdigest()


def weights_mark(module: Any) -> str:
    """A short mark of a module's weights: names, shapes, sums and ends of its tensors; "" for none."""
    if module is None:
        return ""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        flat = tensor.detach().flatten()
        values = [float(flat.double().sum()), *flat[:4].double().tolist(), *flat[-4:].double().tolist()]
        digest.update(f"{name}{tuple(tensor.shape)}{values}".encode())
    return digest.hexdigest()[:32]


def _put(path: Path, tensors: Mapping[str, Any]) -> None:
    """Whole or not at all: a fit that is killed here finds no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(".staged")
    save_tensors(staged, dict(tensors))
    staged.replace(path)
