"""First frames by reference: where in a source the picture lies, and a hash of it, so that a changed source is noticed.

A source is a data set or a folder of pictures. References do not hold its path, so that it may be moved.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.datasets.dataset import Dataset
from storage.errors import CorruptFileError, DatasetError, InputError, MissingFileError, SchemaError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


@dataclass(frozen=True, kw_only=True)
class FirstFrame:
    """Step `step` of episode `episode` of a data set, or the picture in the file `image` of a folder.

    `sha256` is of the encoded pictures of `cameras` (of the file), as they were when the clips were planned.
    `instruction` is the recorded one, "" where there is none.
    """

    sha256: str
    embodiment: str
    episode: str = ""
    instruction: str = ""
    step: int = 0
    cameras: tuple[str, ...] = ()
    image: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"cameras": list(self.cameras)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "FirstFrame":
        return cls(**{**record, "cameras": tuple(record.get("cameras", ()))})


def frames_of_dataset(
    dataset: Dataset,
    *,
    count: int,
    cameras: Sequence[str] = (),
    steps: Sequence[int] = (0,),
    embodiment: str = "",
) -> list[FirstFrame]:
    """At least `count` first frames (all with 0) of recorded episodes with video, at each of `steps` they have. What a
    model has drawn begins nothing new."""
    frames: list[FirstFrame] = []
    for episode in dataset.episodes():
        if count and len(frames) >= count:
            break
        if episode.layer == "neural" or not episode.cameras or embodiment not in ("", episode.embodiment):
            continue
        chosen = tuple(cameras) or tuple(sorted(episode.cameras))[:1]
        missing = [camera for camera in chosen if camera not in episode.cameras]
        if missing:
            there = ", ".join(sorted(episode.cameras)) or "none"
            raise SchemaError(f"episode {episode.episode_id!r} has no camera {missing[0]!r}; it has: {there}")
        for step in steps:
            if step < episode.length:
                payloads = [episode.cameras[camera].payloads[step] for camera in chosen]
                frames.append(
                    FirstFrame(
                        sha256=_hash(*payloads),
                        embodiment=episode.embodiment,
                        episode=episode.episode_id,
                        instruction=episode.instruction,
                        step=int(step),
                        cameras=chosen,
                    )
                )
    return frames


def frames_of_folder(folder: Path, *, embodiment: str, camera: str = "camera") -> list[FirstFrame]:
    """One first frame for each picture in `folder`, in the order of their names."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise MissingFileError(f"{folder} holds no pictures; expected files such as frame.png ({IMAGE_SUFFIXES})")
    return [
        FirstFrame(sha256=_hash(path.read_bytes()), embodiment=embodiment, image=path.name, cameras=(camera,))
        for path in paths
    ]


def read_views(frame: FirstFrame, source: Path) -> dict[str, NDArray[np.uint8]]:
    """The pictures (H, W, 3) of a first frame of `source`, by camera.

    Raises MissingFileError when the source is gone, InputError when it holds another picture than was planned,
    CorruptFileError when it does not decode.
    """
    if frame.image:
        return {frame.cameras[0]: _read_image(source / frame.image, frame.sha256)}
    try:
        episode = _opened(str(source)).episode(frame.episode)
    except (DatasetError, InputError, OSError, KeyError) as error:
        raise MissingFileError(
            f"the first frame of episode {frame.episode!r} cannot be read from {source}: {error};"
            " was the data set moved or deleted since the clips were planned? Plan them again"
        ) from error
    payloads = [episode.cameras[camera].payloads[frame.step] for camera in frame.cameras]
    _same(_hash(*payloads), frame.sha256, where=f"episode {frame.episode!r} of {source}")
    return {camera: episode.cameras[camera].decode([frame.step])[0].astype(np.uint8) for camera in frame.cameras}


@cache
def _opened(root: str) -> Dataset:
    return Dataset.open(Path(root))


def _read_image(path: Path, sha256: str) -> NDArray[np.uint8]:
    import cv2

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingFileError(f"the first frame {path} is gone; plan the clips again") from None
    _same(_hash(content), sha256, where=str(path))
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise CorruptFileError(f"{path} does not decode as a picture; replace or delete it")
    return np.ascontiguousarray(image[:, :, ::-1]).astype(np.uint8)


def _same(hash_now: str, planned: str, *, where: str) -> None:
    if hash_now != planned:
        raise InputError(f"{where} holds another picture than when the clips were planned; plan them again")


def _hash(*payloads: bytes | memoryview) -> str:
    digest = hashlib.sha256()
    for payload in payloads:
        digest.update(bytes(payload))
    return digest.hexdigest()[:32]
