"""What lengths and sizes a model can make. diffusers rounds silently what does not fit; here it is refused."""

from dataclasses import dataclass

from generators.neural.clip_shape import ClipShape
from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ShapeRules:
    """Frames are a multiple of `frames_step` and one more; both sides are multiples of `side_px`."""

    frames_step: int
    side_px: int

    def check(self, shape: ClipShape, *, model: str) -> None:
        """Raise ConfigError, naming the nearest shape that fits."""
        frames = max(round((shape.frames - 1) / self.frames_step), 0) * self.frames_step + 1
        height, width = (max(round(px / self.side_px), 1) * self.side_px for px in (shape.height_px, shape.width_px))
        if (frames, height, width) != (shape.frames, shape.height_px, shape.width_px):
            raise ConfigError(
                f"{model} makes clips of {self.frames_step} k + 1 frames, sides multiples of {self.side_px} px;"
                f" got {shape.frames} frames of {shape.height_px} x {shape.width_px};"
                f" nearest: frames {frames}, size_px [{height}, {width}]"
            )
