"""Recorded or lifted poses of a person's hands and head camera, one row a frame of the source."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from storage.errors import SchemaError

JOINTS = 21
TIPS = (4, 8, 12, 16, 20)
LEFT, RIGHT = 0, 1


@dataclass(frozen=True)
class HandPoses:
    """Of T frames. `joints` (T, 2, 21, 4, 4): pose of each joint in the world, left hand first; joint 0 is the wrist,
    then thumb to little finger from palm to tip. `camera` (T, 4, 4): the camera in the world, z forward. `intrinsic`
    (3, 3) in pixels of `size_px` (height, width). `confidence` (T, 2) within 0..1. Metres; rows of NaN where nothing
    was recorded. With `wrists_only` the rotations of other joints than the wrist are not known and repeat the wrist's;
    without `in_world` the camera's pose is not known and the world is the camera of each frame."""

    joints: NDArray[np.float64]
    camera: NDArray[np.float64]
    intrinsic: NDArray[np.float64]
    size_px: tuple[int, int]
    confidence: NDArray[np.float32]
    wrists_only: bool = False
    in_world: bool = True

    def __post_init__(self) -> None:
        frames = len(self.camera)
        expected = {
            "joints": (frames, 2, JOINTS, 4, 4),
            "camera": (frames, 4, 4),
            "intrinsic": (3, 3),
            "confidence": (frames, 2),
        }
        for name, shape in expected.items():
            came = getattr(self, name).shape
            if came != shape:
                raise SchemaError(f"{name} of hand poses must have shape {shape}; got {came}")

    def __len__(self) -> int:
        return len(self.camera)

    def at(self, frames: NDArray[np.int64]) -> "HandPoses":
        """The rows of `frames`; NaN and no confidence beyond the last one."""
        inside = frames < len(self)
        rows = np.where(inside, frames, 0)

        def taken(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(np.where(inside.reshape(-1, *[1] * (values.ndim - 1)), values[rows], np.nan))

        confidence = self.confidence[rows] * inside[:, None]
        return replace(
            self,
            joints=taken(self.joints),
            camera=taken(self.camera),
            confidence=np.asarray(confidence, np.float32),
        )

    @property
    def present(self) -> NDArray[np.bool_]:
        """(T, 2): whether a hand was recorded, with the camera that sees it."""
        hands = np.isfinite(self.joints).all(axis=(2, 3, 4))
        present: NDArray[np.bool_] = hands & np.isfinite(self.camera).all(axis=(1, 2))[:, None]
        return present

    def in_camera(self) -> NDArray[np.float64]:
        """(T, 2, 21, 4, 4): the joints in the camera of their own frame."""
        joints: NDArray[np.float64] = inverse(self.camera)[:, None, None] @ self.joints
        return joints

    def landmarks(self) -> NDArray[np.float32]:
        """(T, 2, 21, 3) float32: where the joints are seen, x and y over image width and height; depth against the
        wrist, over image width as a pinhole sees it at the wrist's distance. Zero where a joint is not before the
        camera."""
        points = self.in_camera()[..., :3, 3]
        depth = points[..., 2]
        seen = np.isfinite(depth) & (depth > 1e-3)
        safe = np.where(seen, depth, 1.0)
        height, width = self.size_px
        focal, centre = np.diag(self.intrinsic)[:2], self.intrinsic[:2, 2]
        flat = points[..., :2] / safe[..., None] * focal + centre
        wrist = safe[..., :1]
        in_picture = np.concatenate(
            [flat / np.array([width, height]), ((depth - wrist) / wrist * focal[0] / width)[..., None]], axis=-1
        )
        return np.where(seen[..., None], in_picture, 0.0).astype(np.float32)


def inverse(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of rigid transforms (..., 4, 4)."""
    inverted = np.zeros_like(poses)
    turned = np.swapaxes(poses[..., :3, :3], -1, -2)
    inverted[..., :3, :3] = turned
    inverted[..., :3, 3] = -(turned @ poses[..., :3, 3:])[..., 0]
    inverted[..., 3, 3] = 1.0
    inverted[~np.isfinite(poses).all(axis=(-1, -2))] = np.nan
    return inverted
