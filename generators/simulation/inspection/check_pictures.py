"""What a person looks at when a task is checked: how its sources split into subtasks, and the sources themselves."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np

from generators.simulation.demonstrations.recordings import RecordedDemonstration
from generators.simulation.demonstrations.replay import replayed
from generators.simulation.demonstrations.source_checks import BrokenCheck
from generators.simulation.demonstrations.source_demonstration import SourceDemonstration
from generators.simulation.stepping.render import Picture, Pictures, Renderer
from generators.simulation.stepping.scene import Scenes
from generators.simulation.task.specification import Task
from storage.formats.video.writer import write_video

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

VIDEO_SIZE_PX = 256
_COLOURS = pyplot.get_cmap("tab10").colors


def draw_segmentation(
    task: Task, sources: Sequence[SourceDemonstration], path: Path, *, broken: Sequence[BrokenCheck] = ()
) -> Path:
    """One strip a demonstration: a bar for each arm, cut into its subtasks, and below it when each signal held. A red
    cross marks a check that does not hold where its subtask ends."""
    rows = len(task.subtasks) + len(sources[0].signals)
    height = 0.7 + (0.25 * rows + 0.35) * len(sources)
    figure, axes = pyplot.subplots(
        len(sources), 1, figsize=(10, height), squeeze=False, sharex=True, layout="constrained"
    )
    for axis, source in zip(axes[:, 0], sources, strict=True):
        _draw_source(axis, task, source)
        _mark(axis, task, source, [one for one in broken if one.demonstration == source.name])
    axes[-1, 0].set_xlabel("control step")
    figure.suptitle(f"subtasks of {task.name}")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


def _draw_source(axis: Axes, task: Task, source: SourceDemonstration) -> None:
    names = [*task.subtasks, *source.signals]
    for row, (arm, subtasks) in enumerate(task.subtasks.items()):
        for index, subtask in enumerate(subtasks):
            start, end = source.start(arm, index), source.ends[arm][index]
            axis.barh(row, end - start, left=start, height=0.8, color=_COLOURS[index % len(_COLOURS)], alpha=0.8)
            label = f"{subtask.name} ({subtask.reference or 'as recorded'})"
            axis.text((start + end) / 2, row, label, ha="center", va="center", fontsize=7)
    for row, values in enumerate(source.signals.values(), start=len(task.subtasks)):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], values.astype(np.int8), [0]))))
        spans = [(int(start), int(end - start)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
        axis.broken_barh(spans, (row - 0.2, 0.4), facecolors="0.35")
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.set_title(source.name, fontsize=8, loc="left", pad=2)


def _mark(axis: Axes, task: Task, source: SourceDemonstration, broken: Sequence[BrokenCheck]) -> None:
    names = [*task.subtasks, *source.signals]
    for one in broken:
        rows = [names.index(one.arm), names.index(one.check)]
        for step in one.steps:
            axis.plot([step, step], rows, "x-", color="red", markersize=6, linewidth=1.0, zorder=5)


def film(
    scenes: Scenes, task: Task, pairs: Sequence[tuple[RecordedDemonstration, SourceDemonstration]], path: Path
) -> Path:
    """A video of the demonstrations one after the other, with the subtask of each arm written into the picture."""
    write_video(_frames(scenes, task, pairs), path, rate_hz=scenes(pairs[0][0].placement, pairs[0][0].variant).rate_hz)
    return path


def _frames(
    scenes: Scenes, task: Task, pairs: Sequence[tuple[RecordedDemonstration, SourceDemonstration]]
) -> Iterator[Picture]:
    for recording, source in pairs:
        scene = scenes(recording.placement, recording.variant)
        states = np.stack(list(replayed(scene, recording))[:-1])
        pictures = Pictures(cameras=task.cameras[:1], width_px=VIDEO_SIZE_PX, height_px=VIDEO_SIZE_PX)
        renderer = Renderer(scene.model, pictures)
        try:
            for step, views in enumerate(renderer.frames(states)):
                yield _labelled(next(iter(views.values())), [source.name, *_captions(task, source, step)])
        finally:
            renderer.close()


def _captions(task: Task, source: SourceDemonstration, step: int) -> list[str]:
    lines = []
    for arm, subtasks in task.subtasks.items():
        index = int(np.searchsorted(source.ends[arm], step, side="right"))
        lines.append(f"{arm}: {subtasks[min(index, len(subtasks) - 1)].name}")
    return lines


def _labelled(picture: Picture, lines: Sequence[str]) -> Picture:
    picture = picture.copy()
    for row, line in enumerate(lines):
        place = (6, 16 + 14 * row)
        for colour, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(picture, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, width, cv2.LINE_AA)
    return picture
