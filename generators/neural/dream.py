"""The stage `GenerateClips`: first frames and prompts in, episodes of the layer `neural` out.

An item is one episode: {"frame": a `FirstFrame` as JSON, "prompts": ["lift the red cube", ...], "number": 3, "origins":
["template", ...]}. With several prompts the last frame of a clip is the first of the next (GR00T N1, appendix F); the
episode says which instruction holds where. A clip follows from its own item and the run's seed.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.neural.clip_shape import ClipShape
from generators.neural.dream_config import GenerateClipsConfig
from generators.neural.first_frames.grid import compose, split
from generators.neural.first_frames.reference import FirstFrame, read_views
from generators.neural.models.interface import Image, Request, Sampling, VideoModel
from generators.neural.models.load import load_model
from generators.neural.models.lora import load_lora
from generators.neural.models.memory import refuse_what_cannot_fit
from generators.neural.motion import speed_heights_s
from storage.episode import Episode
from storage.errors import ConfigError, InputError
from storage.frames import Frames
from storage.ids import Randomness, content_id
from storage.outcomes import Dropped, Kept, Outcome
from storage.pictures.resizing import Resize

log = logging.getLogger(__name__)
BLACK = 2.0
"""Mean grey level (of 255) under which a clip is black."""
_RATIO_TOLERANCE = 0.02


@dataclass(frozen=True, kw_only=True)
class _Item:
    frame: FirstFrame
    prompts: tuple[str, ...]
    origins: tuple[str, ...]
    number: int

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "_Item":
        prompts = tuple(item.get("prompts", ()))
        if not prompts:
            raise InputError("an item of generate_clips needs prompts, one for each round; got none")
        return cls(
            frame=FirstFrame.from_json(item["frame"]),
            prompts=prompts,
            origins=tuple(item.get("origins", ("given",) * len(prompts))),
            number=int(item.get("number", 0)),
        )


class GenerateClips:
    """Holds the model; made once a worker."""

    def __init__(self, config: GenerateClipsConfig) -> None:
        self.config = config
        refuse_what_cannot_fit(config)
        self.model: VideoModel = load_model(config.model, config.model_options())
        if config.lora:
            load_lora(self.model.pipe, config.lora, weight=config.lora_weight)
        self.shape, self.sampling = chosen_shape(config, self.model.shape), chosen_sampling(config, self.model.sampling)
        self.model.check_shape(self.shape)
        self.inputs = dict(config.inputs())

    def __call__(self, items: Sequence[Mapping[str, Any]], randomness: Randomness) -> list[list[Outcome]]:
        """One outcome for each item; clips are drawn in batches, round by round."""
        wanted = [_Item.of(item) for item in items]
        starts = [self._first_picture(item) for item in wanted]
        parts: list[list[Image]] = [[] for _ in wanted]
        for turn in range(max(len(item.prompts) for item in wanted)):
            rows = [row for row, item in enumerate(wanted) if turn < len(item.prompts) and _goes_on(parts[row])]
            requests = [
                Request(
                    image=starts[row] if turn == 0 else to_uint8(parts[row][-1][-1]),
                    prompt=wanted[row].prompts[turn],
                    seed=self._seed(wanted[row], turn, randomness),
                )
                for row in rows
            ]
            for row, clip in zip(rows, self._generate(requests), strict=True):
                parts[row].append(clip)
        return [[self._outcome(item, clips, randomness)] for item, clips in zip(wanted, parts, strict=True)]

    def _first_picture(self, item: _Item) -> Image:
        for prompt in item.prompts:
            self.model.check_prompt(prompt)
        views = read_views(item.frame, Path(self.config.source))
        size_px = (self.shape.height_px, self.shape.width_px)
        if len(item.frame.cameras) > 1:
            grid: Image = compose(views, item.frame.cameras, size_px)
            return grid
        (view,) = views.values()
        ratio = (view.shape[1] / view.shape[0]) / (size_px[1] / size_px[0])
        if self.config.fit == "refuse" and abs(ratio - 1) > _RATIO_TOLERANCE:
            raise InputError(
                f"the first frame is {view.shape[1]} x {view.shape[0]} px, the clip {size_px[1]} x {size_px[0]}: of"
                " another aspect ratio. Set fit to pad, crop or stretch, or size_px to a size of the same ratio"
            )
        return Resize(size_px=size_px, fit="stretch" if self.config.fit == "refuse" else self.config.fit)(view)

    def _seed(self, item: _Item, turn: int, randomness: Randomness) -> int:
        name = content_id(item.frame.sha256, item.prompts[: turn + 1], item.number)
        return randomness.seed_of(name) % 2**63

    def _generate(self, requests: Sequence[Request]) -> list[Image]:
        size = self.config.batch_size
        batches = [requests[at : at + size] for at in range(0, len(requests), size)]
        return [clip for batch in batches for clip in drawn(self.model, batch, self.shape, self.sampling)]

    def _outcome(self, item: _Item, clips: Sequence[Image], randomness: Randomness) -> Outcome:
        made_of = (self.inputs, self.config.identity(), item.frame.sha256, item.prompts, item.number)
        identity = content_id("neural", *made_of, randomness.run_seed)
        for turn, clip in enumerate(clips):
            fault, score = fault_of(clip)
            if fault:
                detail = {"prompt": item.prompts[turn], "round": turn, "frame": item.frame.to_json()}
                return Dropped(episode_id=identity, reason=fault, score=score, detail=detail)
        return Kept(self._episode(identity, item, clips, randomness))

    def _episode(self, identity: str, item: _Item, clips: Sequence[Image], randomness: Randomness) -> Episode:
        whole = to_uint8(np.concatenate([clip if turn == 0 else clip[1:] for turn, clip in enumerate(clips)]))
        cameras = item.frame.cameras
        views = split(whole, cameras) if len(cameras) > 1 else {cameras[0]: whole}
        each = self.shape.frames - 1
        parts = [
            {"instruction": prompt, "origin": origin, "first": turn * each, "last": (turn + 1) * each,
             "seed": self._seed(item, turn, randomness)}
            for turn, (prompt, origin) in enumerate(zip(item.prompts, item.origins, strict=True))
        ]  # fmt: skip
        about = {
            "model": Path(self.config.model).name,
            "pipeline": self.model.name,
            **{f"{name}_hash": value for name, value in self.inputs.items()},
            "sampler": type(self.model.pipe.scheduler).__name__,
            "sampling": asdict(self.sampling),
            "lora_weight": self.config.lora_weight if self.config.lora else 0.0,
            "first_frame": item.frame.to_json(),
            "parts": parts,
            "speed_heights_s": speed_heights_s(whole, rate_hz=self.shape.rate_hz),
        }
        return Episode(
            episode_id=identity,
            parent_id=item.frame.episode,
            layer="neural",
            embodiment=item.frame.embodiment,
            length=len(whole),
            rate_hz=self.shape.rate_hz,
            instruction=", then ".join(item.prompts),
            cameras={camera: Frames.encode(list(view), self.config.codec) for camera, view in views.items()},
            provenance={"neural": about},
        )


def chosen_shape(config: GenerateClipsConfig, own: ClipShape) -> ClipShape:
    """The model's shape with what the config says otherwise."""
    height, width = config.size_px or (own.height_px, own.width_px)
    return ClipShape(
        frames=config.frames or own.frames,
        height_px=height,
        width_px=width,
        rate_hz=config.rate_hz or own.rate_hz,
    )


def chosen_sampling(config: GenerateClipsConfig, own: Sampling) -> Sampling:
    """The model's sampler settings with what the config says otherwise."""
    return replace(
        own,
        steps=config.steps or own.steps,
        guidance=own.guidance if config.guidance < 0 else config.guidance,
        negative_prompt=config.negative_prompt or own.negative_prompt,
    )


def drawn(model: VideoModel, requests: Sequence[Request], shape: ClipShape, sampling: Sampling) -> list[Image]:
    """The clips of a batch; where memory runs out, of its halves. One clip that does not fit is a ConfigError."""
    import torch

    if not requests:
        return []
    try:
        return model.generate(requests, shape, sampling)
    except torch.OutOfMemoryError as error:
        if len(requests) == 1:
            raise ConfigError(
                f"one clip of {shape} does not fit into the card's memory: {error}. Set offload to model, group or"
                " sequential, vae_tiling, or make it smaller; `pyramid dream --dry-run` says what each part needs"
            ) from error
    torch.cuda.empty_cache()
    half = len(requests) // 2
    log.warning("out of memory with %d clips together; trying %d", len(requests), half)
    return [clip for part in (requests[:half], requests[half:]) for clip in drawn(model, part, shape, sampling)]


def fault_of(clip: Image) -> tuple[str, float]:
    """Why a clip (T, H, W, 3) in 0..1 cannot be one: ("", 0), or a reason and its score."""
    share = float(np.mean(~np.isfinite(clip)))
    if share > 0:
        return "not finite", share
    level = float(clip[1:].mean() if len(clip) > 1 else clip.mean()) * 255
    return ("black", level) if level < BLACK else ("", 0.0)


def to_uint8(clip: Image) -> NDArray[np.uint8]:
    """Pictures in 0..1 as 0..255."""
    return (np.clip(clip, 0, 1) * 255).round().astype(np.uint8)


def _goes_on(clips: Sequence[Image]) -> bool:
    return not clips or not fault_of(clips[-1])[0]
