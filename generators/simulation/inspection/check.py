"""Trying a task out before anything is generated from it: is its specification sound, do its sources replay?

Checked are the constraint graph, the environment (builds with every placement, resets reproducibly, resumes from a
snapshot, agrees with `env.step`), what the task's functions return, every source demonstration, and a few attempts.
Each problem is one sentence. A picture shows how the sources split into subtasks, a video shows them.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generators.simulation.demonstrations.annotate import SourceReader
from generators.simulation.demonstrations.recordings import RecordedDemonstration, read_source_file, source_path
from generators.simulation.demonstrations.replay import DISTURBED_REPLAYS, begin, disturbed_successes, replayed
from generators.simulation.demonstrations.source_checks import BrokenCheck, broken_checks
from generators.simulation.demonstrations.source_demonstration import SourceDemonstration
from generators.simulation.inspection.check_pictures import draw_segmentation, film
from generators.simulation.mimicgen.attempt import DemonstrationGenerator
from generators.simulation.stepping.determinism import check_determinism
from generators.simulation.stepping.scene import Scene, Scenes
from generators.simulation.stepping.snapshot import state_row
from generators.simulation.stepping.step_loop import StepLoop
from generators.simulation.task.constraints import graph_of
from generators.simulation.task.specification import Task
from storage.errors import BrokenSimulationError, InputError

logger = logging.getLogger(__name__)

TOLERANCE = 1e-6
TRIAL_ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What came of it: `problems` are to be mended, `notes` are worth knowing, `files` are what was drawn."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]

    @property
    def good(self) -> bool:
        return not self.problems

    @property
    def text(self) -> str:
        lines = [f"problem: {problem}" for problem in self.problems] + [f"note: {note}" for note in self.notes]
        lines += [f"wrote {file}" for file in self.files]
        return "\n".join([*lines, "the task is in order" if self.good else f"{len(self.problems)} problems"])


def check_task(task: Task, output: Path, *, video: bool = True) -> CheckResult:
    """Check a task; pictures go into the folder `output`. What cannot be checked because of a problem is left out."""
    examination = _Examination(task)
    examination.run()
    files: list[Path] = []
    if examination.annotated:
        output.mkdir(parents=True, exist_ok=True)
        picture = output / f"{task.name}-subtasks.png"
        files.append(draw_segmentation(task, examination.annotated, picture, broken=examination.broken))
        if video and examination.scene:
            recordings = {one.name: one for one in examination.recordings}
            pairs = [(recordings[one.name], one) for one in examination.annotated]
            files.append(film(examination.scenes, task, pairs, output / f"{task.name}-sources.mp4"))
    return CheckResult(problems=tuple(examination.problems), notes=tuple(examination.notes), files=tuple(files))


class _Examination:
    def __init__(self, task: Task) -> None:
        self.task = task
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.recordings: list[RecordedDemonstration] = []
        self.sources: list[SourceDemonstration] = []
        self.broken: list[BrokenCheck] = []
        self.annotated: list[SourceDemonstration] = []
        self.scenes = Scenes(task)
        self.reader: SourceReader
        self.scene: Scene | None = None

    def run(self) -> None:
        if not self._try("constraints", lambda: graph_of(self.task)):
            return
        self._try("environment", self._look_at_scene)
        if self.scene is None:
            return
        for placement in self.task.placements:
            self._try(f"placement {placement}", partial(self._look_at_placement, placement))
        self._try("sources", self._read_sources)
        if self.sources:
            self._try("agreement with env.step", self._compare_with_oracle)
            self._try("snapshots", self._resume)
            self._try("attempts", self._attempt)

    def _try(self, what: str, examine: Callable[[], object]) -> bool:
        try:
            examine()
        except (InputError, BrokenSimulationError) as error:
            self.problems.append(f"{what}: {error}")
            return False
        return True

    def _look_at_scene(self) -> None:
        scene = self.scenes(next(iter(self.task.placements)), 0)
        environment = scene.environment
        if scene.loop.reason:
            self.notes.append(f"stepped by env.step, three to five times slower than compiled: {scene.loop.reason}")
        for name, pose in self.task.object_poses(environment).items():
            if np.shape(pose) != (4, 4) or not np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-6):
                raise InputError(f"object_poses gives no 4x4 rigid pose for {name!r}; got shape {np.shape(pose)}")
        signals = self.task.signals(environment)
        for arm, subtasks in self.task.subtasks.items():
            for subtask in subtasks:
                if subtask.check and subtask.check not in signals:
                    raise InputError(
                        f"{arm}.{subtask.name} checks signal {subtask.check!r}; signals gives {sorted(signals)}"
                    )
        if scene.succeeded():
            self.problems.append("environment: the success check holds right after a reset")
        vector = self.task.embodiment.state(environment)
        if vector.dtype != np.float32 or not np.isfinite(vector).all():
            raise InputError(f"the embodiment's state must be finite float32; got {vector.dtype}")
        self.scene = scene

    def _look_at_placement(self, placement: str) -> None:
        check_determinism(self.task, self.scenes(placement, 0))

    def _read_sources(self) -> None:
        path = source_path(self.task)
        file = read_source_file(path)
        self.recordings = list(file.recordings)
        self.problems += [f"sources: {reason}" for reason in file.left_out.values()]
        self.reader = SourceReader(self.task, self.scenes)
        for recording in self.recordings:
            try:
                source = self.reader.annotate(recording)
            except InputError as error:
                self.problems.append(f"sources: {path.name}: {error}")
                continue
            self.annotated.append(source)
            if not self._passes_its_checks(path, source):
                continue
            self.sources.append(source)
            self._disturb(path, recording)
        total = len(file.recordings) + len(file.left_out)
        self.notes.append(f"{len(self.sources)} of {total} source demonstrations are usable")

    def _passes_its_checks(self, path: Path, source: SourceDemonstration) -> bool:
        """Whether attempts made from a demonstration can pass; checks that do not always hold are notes."""
        broken = broken_checks(graph_of(self.task), source) if self.task.execution.check_subtasks else []
        self.broken += broken
        for one in broken:
            (self.problems if one.always else self.notes).append(f"sources: {path.name}: {one.text}")
        return not any(one.always for one in broken)

    def _disturb(self, path: Path, recording: RecordedDemonstration) -> None:
        steady = disturbed_successes(self.reader.scene(recording), recording)
        if steady < DISTURBED_REPLAYS:
            self.notes.append(
                f"{path.name}: {recording.name} ends in success in {steady} of {DISTURBED_REPLAYS} replays from"
                " minutely disturbed starts: it may fail on another processor; better record it again"
            )

    def _usable(self) -> tuple[Scene, RecordedDemonstration]:
        recording = next(one for one in self.recordings if one.name == self.sources[0].name)
        return self.reader.scene(recording), recording

    def _compare_with_oracle(self) -> None:
        scene, recording = self._usable()
        ours = np.stack(list(replayed(scene, recording)))
        fast, scene.loop = scene.loop, StepLoop(scene.environment, allow_compiled=False)
        try:
            theirs = np.stack(list(replayed(scene, recording)))
        finally:
            scene.loop = fast
            scene.loop.rebind()
        apart = float(np.abs(ours - theirs).max())
        if apart > TOLERANCE:
            self.problems.append(
                f"our step loop and env.step differ by {apart:.2g} on {recording.name}; set Task.stepping='environment'"
            )

    def _resume(self) -> None:
        scene, recording = self._usable()
        half = len(recording.actions) // 2
        begin(scene, recording)
        for action in recording.actions[:half]:
            scene.step(action)
        moment = scene.snapshot()
        first = [_stepped(scene, action) for action in recording.actions[half:]]
        scene.restore(moment)
        second = [_stepped(scene, action) for action in recording.actions[half:]]
        apart = float(np.abs(np.stack(first) - np.stack(second)).max())
        if apart > TOLERANCE:
            self.problems.append(
                f"going on from a snapshot differs by {apart:.2g}: the environment keeps state outside MuJoCo's data;"
                " leave retries at 0, or derive that state from the data"
            )

    def _attempt(self) -> None:
        scene = self.scenes(next(iter(self.task.placements)), 0)
        attempts = [DemonstrationGenerator(scene, self.sources).attempt(seed) for seed in range(TRIAL_ATTEMPTS)]
        failures = Counter(attempt.failure for attempt in attempts if attempt.failure)
        causes = "".join(f"; {count} x {cause}" for cause, count in failures.most_common())
        self.notes.append(f"{TRIAL_ATTEMPTS - failures.total()} of {TRIAL_ATTEMPTS} trial attempts succeeded{causes}")


def _stepped(scene: Scene, action: NDArray[np.float32]) -> NDArray[np.float64]:
    scene.step(action)
    return state_row(scene.environment)
