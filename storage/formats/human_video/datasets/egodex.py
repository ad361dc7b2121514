"""EgoDex: people handle things before an Apple Vision Pro, with poses of every joint (Hoque et al., arXiv 2505.11709).

    part<n>/<task>/<number>.mp4 and <number>.hdf5 side by side, 30 Hz

The attributes of the HDF5 file hold the text: llm_description, or llm_description2 where which_llm_description is "2";
the poses are read by `storage.formats.hand_poses.egodex`.
"""

from collections.abc import Iterator
from pathlib import Path

import h5py

from storage.formats.human_video.source_video import END_OF_FILE_S, Adapter, Narration, Problem, SourceVideo
from storage.formats.untrusted.hdf5_probe import check_hdf5


def _videos(root: Path) -> Iterator[SourceVideo]:
    for video in sorted(root.rglob("*.mp4"), key=lambda path: (path.parent, len(path.stem), path.stem)):
        poses = video.with_suffix(".hdf5")
        text, problems = "", []
        if poses.is_file():
            try:
                text = _text(poses)
            except OSError as error:
                problems.append(Problem(where=poses.name, text=f"does not open as HDF5: {error}"))
        else:
            problems.append(Problem(where=poses.name, text="is not there: no poses and no text"))
        task = video.parent.name
        text = text or task.replace("_", " ")
        yield SourceVideo(
            file=str(video.relative_to(root)),
            name=str(video.relative_to(root).with_suffix("")),
            narrations=(Narration(start_s=0.0, stop_s=END_OF_FILE_S, text=text, origin="egodex description"),),
            poses="" if problems else str(poses.relative_to(root)),
            about={"task": task},
            problems=tuple(problems),
        )


def _text(path: Path) -> str:
    check_hdf5(path)
    with h5py.File(path, "r") as file:
        attributes = {name: _plain(value) for name, value in file.attrs.items()}
    second = attributes.get("which_llm_description") == "2"
    return attributes.get("llm_description2" if second else "llm_description", "")


def _plain(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _recognised(root: Path) -> bool:
    first = next(root.rglob("*.hdf5"), None) if root.is_dir() else None
    if first is None or not first.with_suffix(".mp4").is_file() or not h5py.is_hdf5(first):
        return False
    check_hdf5(first)
    with h5py.File(first, "r") as file:
        return "transforms" in file and "camera" in file


ADAPTER = Adapter(
    name="egodex",
    title="EgoDex",
    recognises=_recognised,
    videos=_videos,
    may_copy=False,
    licence="CC BY-NC-ND 4.0: processed frames may not be passed on.",
)
