"""Recording an episode step by step into a shard, for sources that do not know its length when it begins."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from storage.episode import Episode, Layer
from storage.errors import SchemaError
from storage.frames import Frames, Image, frame_codec
from storage.shards.layout import ShardLayout
from storage.shards.streams import Mark
from storage.shards.writer import ShardWriter


class EpisodeRecorder:
    """One episode that grows step by step; memory is that of one frame.

    with EpisodeRecorder(writer, episode_id=..., layer="real", embodiment="panda", rate_hz=20.0) as recorder:
        recorder.step(arrays={"state": state, "action/ground_truth": action}, images={"front": image})
        ...
        recorder.finish(provenance={...})

    Leaving the block without `finish`, or with an error, leaves no trace of the episode. `codecs` maps a camera to the
    name of its frame codec, "jpeg" where it says nothing.
    """

    def __init__(
        self,
        writer: ShardWriter,
        *,
        episode_id: str,
        layer: Layer,
        embodiment: str,
        rate_hz: float,
        instruction: str = "",
        parent_id: str = "",
        codecs: Mapping[str, str] | None = None,
    ) -> None:
        self._writer, self._codecs = writer, codecs or {}
        self._about: dict[str, Any] = {"episode_id": episode_id, "layer": layer, "embodiment": embodiment}
        self._about |= {"rate_hz": rate_hz, "instruction": instruction, "parent_id": parent_id}
        self._start, self._length = writer.steps, 0
        self._layout: ShardLayout | None = None
        self._marks: dict[str, Mark] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def step(self, *, arrays: Mapping[str, Any], images: Mapping[str, Image] | None = None) -> None:
        """Append one step: the value of each array at it (a vector or a number), and an image of each camera."""
        rows = {name: np.asarray(value)[None] for name, value in arrays.items()}
        frames = {camera: self._encode(camera, image) for camera, image in (images or {}).items()}
        layout = ShardLayout.of(Episode(**self._about, length=1, arrays=rows, cameras=frames))
        if self._layout is None:
            self._marks = self._writer.begin(layout)
            self._layout = layout
        elif layout != self._layout:
            raise SchemaError(f"step {self._length} differs from the first: {self._layout.difference(layout)}")
        for camera, encoded in frames.items():
            self._writer.write_frame(camera, encoded.payloads[0])
        for name, row in rows.items():
            self._writer.write_rows(name, row)
        self._length += 1

    def finish(
        self, *, verdicts: tuple[Mapping[str, Any], ...] = (), provenance: Mapping[str, Any] | None = None
    ) -> None:
        """The episode is whole: take it into the shard. Raises SchemaError when it has no step."""
        if self._layout is None:
            raise SchemaError(f"episode {self._about['episode_id']!r} has no step")
        cameras = {
            name: Frames(payloads=(b"",) * self._length, height_px=height_px, width_px=width_px, codec=codec)
            for name, (height_px, width_px, codec) in self._layout.cameras.items()
        }
        arrays = {name: self._writer.stored(name, self._start) for name in self._layout.arrays}
        about = {**self._about, "verdicts": verdicts, "provenance": provenance or {}}
        self._writer.finish(Episode(**about, length=self._length, arrays=arrays, cameras=cameras))
        self._layout = None

    def discard(self) -> None:
        """Forget the episode, unless it is finished."""
        if self._layout is not None:
            self._writer.rewind(self._marks)
            self._layout = None

    def _encode(self, camera: str, image: Image) -> Frames:
        codec = frame_codec(self._codecs.get(camera, "jpeg"))
        payload = codec.encode(image)
        return Frames(payloads=(payload,), height_px=image.shape[0], width_px=image.shape[1], codec=codec.name)
