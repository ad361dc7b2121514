"""The settings of the stage `watch_video`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from judges.curation.action_clips import ClipConfig
from judges.curation.camera_motion import CameraMotionConfig
from judges.curation.clip_verdicts import ClipRules
from judges.curation.overlays import OverlayConfig
from judges.curation.spans import SpanConfig
from judges.hands.hand_config import HandConfig
from storage.episode import Layer
from storage.errors import ConfigError, UnknownNameError
from storage.formats.hand_poses.action import Rot6d
from storage.frames import frame_codec

FrameStorage = Literal["auto", "copy", "reference"]


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """`frames` says whether shards hold pixels ("copy") or name frames of the source ("reference"); "auto" copies where
    the licence of the data set allows it. Frames are stored with `short_side_px` pixels on their shorter side (0: as
    they are), never enlarged, in `codec`. Videos smaller than `smallest_px` are left out.

    `rejected` says what becomes of black, still and fading stretches: "keep" stores them as clips with the verdict that
    speaks against them, "drop" counts them with reason and place. `blur_faces` needs copied frames. `instruction` is
    given to clips that nobody narrated. `rot6d` is how rotations of recorded hand poses become six numbers: two columns
    of the matrix, or two rows as GR00T has them. `embodiment` is who moves in the videos, and `layer` of the pyramid
    what they are; "": human video, or what the data set says.
    """

    frames: FrameStorage = "auto"
    short_side_px: int = 256
    codec: str = "jpeg"
    smallest_px: int = 32
    embodiment: str = "human"
    layer: Layer | Literal[""] = ""
    instruction: str = ""
    rot6d: Rot6d = "columns"
    rejected: Literal["keep", "drop"] = "keep"
    blur_faces: bool = False
    camera: CameraMotionConfig = field(default_factory=CameraMotionConfig)
    spans: SpanConfig = field(default_factory=SpanConfig)
    clips: ClipConfig = field(default_factory=ClipConfig)
    rules: ClipRules = field(default_factory=ClipRules)
    overlays: OverlayConfig = field(default_factory=OverlayConfig)
    hands: HandConfig = field(default_factory=HandConfig)

    def __post_init__(self) -> None:
        if self.frames not in ("auto", "copy", "reference"):
            raise UnknownNameError.among("way to store frames", self.frames, ("auto", "copy", "reference"))
        if self.rejected not in ("keep", "drop"):
            raise UnknownNameError.among("rejected", self.rejected, ("keep", "drop"))
        if self.layer not in ("", *get_args(Layer)):
            raise UnknownNameError.among("layer", self.layer, get_args(Layer))
        if self.short_side_px < 0 or self.smallest_px < 1:
            raise ConfigError(
                f"short_side_px is 0 or more, smallest_px at least 1; got {self.short_side_px}, {self.smallest_px}"
            )
        if not frame_codec(self.codec).is_jpeg:
            raise ConfigError(f"copied frames are colour JPEG: codec is jpeg or high; got {self.codec!r}")
        if self.rot6d not in ("columns", "rows"):
            raise UnknownNameError.among("form of rotations", self.rot6d, ("columns", "rows"))
        if self.blur_faces and self.frames == "reference":
            raise ConfigError("blur_faces changes pixels, and frames: reference stores none; use frames: copy")

    def inputs(self) -> Mapping[str, str]:
        """What clips depend on besides this config and their videos: files of models that others brought."""
        return {**self.spans.cuts.inputs(), **self.hands.inputs()}

    @property
    def hand_embodiment(self) -> str:
        """The embodiment of clips with recorded poses."""
        return "human_hands" if self.rot6d == "columns" else "human_hands_rows"
