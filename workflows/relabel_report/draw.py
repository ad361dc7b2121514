"""Clips of the gallery: hands, boxes and the camera's motion drawn on the frames, and curves below."""

import base64
import io
from fractions import Fraction

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from judges.hands.tracks import LEFT_PRESENT
from storage.episode import Episode

CLIP_FRAMES = 120
CLIP_WIDTH_PX = 320
_BONES = tuple(
    (a, b) for base in (1, 5, 9, 13, 17) for a, b in ((0, base), *((base + k, base + k + 1) for k in range(3)))
)
_COLOURS = ((80, 160, 255), (255, 140, 60))
"""Left hand, right hand."""


def drawn_clip(episode: Episode) -> str:
    """An H.264 mp4 in a data URI: the first camera, with everything that is known about its frames drawn on them."""
    camera = sorted(episode.cameras)[0]
    frames = episode.cameras[camera]
    width = min(frames.width_px, CLIP_WIDTH_PX) // 2 * 2
    height = max(2, frames.height_px * width // frames.width_px // 2 * 2)
    stride = -(-len(frames) // CLIP_FRAMES)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(episode.rate_hz).limit_denominator(1000) / stride)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "26", "preset": "veryfast"}
        for step in range(0, len(frames), stride):
            image = cv2.resize(frames.decode([step])[0], (width, height), interpolation=cv2.INTER_AREA)
            picture = np.ascontiguousarray(image, np.uint8)
            draw_step(picture, episode, step)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return "data:video/mp4;base64," + base64.b64encode(buffer.getvalue()).decode()


def draw_step(image: NDArray[np.uint8], episode: Episode, step: int) -> None:
    """Draw on `image` (H, W, 3), in place, what `episode` knows about `step`."""
    height, width = image.shape[:2]
    scale = np.array([width, height])
    if "label/hand_landmarks" in episode.arrays:
        flags = int(episode.arrays["label/flags/hands"][step])
        for side, colour in enumerate(_COLOURS):
            if flags & (LEFT_PRESENT << side):
                points = episode.arrays["label/hand_landmarks"][step, side, :, :2] * scale
                draw_hand(image, points.astype(np.float32), colour)
    if "label/box" in episode.arrays:
        x, y, across, down, score = episode.arrays["label/box"][step].tolist()
        if score > 0:
            low, high = np.array([x - across / 2, y - down / 2]), np.array([x + across / 2, y + down / 2])
            corners = [tuple((each * scale).astype(int).tolist()) for each in (low, high)]
            cv2.rectangle(image, corners[0], corners[1], (90, 220, 90), 2)
    if "label/camera_motion" in episode.arrays:
        _draw_camera(image, episode, step)


def draw_hand(image: NDArray[np.uint8], points: NDArray[np.float32], colour: tuple[int, int, int]) -> None:
    """A hand's 21 landmarks, (21, 2) pixels, with its bones."""
    where = [(int(x), int(y)) for x, y in points.tolist()]
    for a, b in _BONES:
        cv2.line(image, where[a], where[b], colour, 1, cv2.LINE_AA)
    for place in where:
        cv2.circle(image, place, 2, colour, -1, cv2.LINE_AA)


def _draw_camera(image: NDArray[np.uint8], episode: Episode, step: int) -> None:
    """An arrow from the middle: where the background goes within a tenth of a second."""
    height, width = image.shape[:2]
    homography = episode.arrays["label/camera_motion"][step].reshape(3, 3).astype(np.float64)
    middle = np.array([0.5, 0.5 * height / width, 1.0])
    there = homography @ middle
    shift = (there[:2] / there[2] - middle[:2]) * episode.rate_hz * 0.1 * width
    if float(np.hypot(*shift)) < 2.0:
        return
    start = (width // 2, height // 2)
    end = (int(width / 2 + shift[0]), int(height / 2 + shift[1]))
    cv2.arrowedLine(image, start, end, (255, 230, 60), 2, cv2.LINE_AA, tipLength=0.3)


def curves(episode: Episode) -> str:
    """An SVG of the camera's speed, of what moves beside it, and of the size of the latent action, each over its own
    largest value; "" where nothing is known."""
    rows: list[tuple[str, str, NDArray[np.float64]]] = []
    if "label/motion" in episode.arrays:
        motion = episode.arrays["label/motion"].astype(np.float64)
        rows += [("camera", "#d6a400", motion[:, 0]), ("beside it", "#0f766e", motion[:, 1])]
    if "action/latent" in episode.arrays:
        latent = episode.arrays["action/latent"].astype(np.float64)
        rows.append(
            ("latent", "#6d28d9", np.nan_to_num(np.linalg.norm(np.diff(latent, axis=0, append=latent[-1:]), axis=1)))
        )
    if not rows:
        return ""
    lines = []
    for place, (name, colour, values) in enumerate(rows):
        top = float(np.max(values)) or 1.0
        across = np.linspace(0, 300, len(values))
        points = " ".join(f"{x:.1f},{38 - 34 * y / top:.1f}" for x, y in zip(across, values, strict=True))
        lines.append(f'<polyline fill="none" stroke="{colour}" points="{points}"/>')
        lines.append(f'<text x="{4 + 90 * place}" y="52" font-size="11" fill="{colour}">{name} ≤ {top:.2g}</text>')
    return f'<svg viewBox="0 0 300 56" role="img" aria-label="motion over time">{"".join(lines)}</svg>'
