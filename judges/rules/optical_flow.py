"""Optical flow between neighbouring frames (OpenCV's DIS), on thumbnails: what warping leaves over, and how far the
whole picture shifts.

DIS holds for small motion. A step that moves too much for it is marked: a large residual there says nothing.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

FAR_PX = 6.0
"""Motion of thumbnail pixels beyond which DIS is no longer trusted."""
LEAST_SIDE_PX = 16


@dataclass(frozen=True, kw_only=True)
class Flow:
    """For each of the T - 1 steps: `residual` (T-1,) after warping, in grey levels; `shift` (T-1, 2) of the picture in
    thumbnail pixels, the median of the flow; `near` (T-1,), whether the flow is to be trusted."""

    residual: NDArray[np.float32]
    shift: NDArray[np.float32]
    near: NDArray[np.bool_]


def measure_flow(grey: NDArray[Any]) -> Flow:
    """The flow of thumbnails (T, h, w) in 0..255; without steps where they are too small for DIS."""
    height, width = grey.shape[1:]
    residual, shift, near = [], [], []
    if min(height, width) >= LEAST_SIDE_PX:
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        planes = [np.ascontiguousarray(np.rint(plane).astype(np.uint8)) for plane in grey]
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        for before, after in pairwise(planes):
            flow = dis.calc(before, after, None)
            at = columns + flow[..., 0], rows + flow[..., 1]
            back = cv2.remap(after, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            residual.append(float(np.abs(before.astype(np.int16) - back).mean()))
            shift.append(np.median(flow.reshape(-1, 2), axis=0))
            near.append(bool(np.quantile(np.abs(flow), 0.95) <= FAR_PX))
    return Flow(
        residual=np.array(residual, np.float32),
        shift=np.array(shift, np.float32).reshape(-1, 2),
        near=np.array(near, bool),
    )
