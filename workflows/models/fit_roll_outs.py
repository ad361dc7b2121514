"""Roll-outs after a fit: the tasks that its data were generated in are tried with the new policy, for its page."""

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.atomic_files import read_json
from storage.datasets.dataset import Dataset
from storage.episode import Episode
from storage.errors import WorkFailedError

FOLDER = "roll-outs"
DEFAULT_SCENES: Mapping[str, int] = {"starter": 20}
"""Scenes of each task after a fit of a preset; others are not rolled out unless it is asked for."""
_MOST_TASKS = 4
_CLIPS = 4


@dataclass(frozen=True, kw_only=True)
class TriedTask:
    """One task's roll-outs: the figures of `success.json`, and the folder with its report."""

    figures: Mapping[str, Any]
    folder: Path

    @property
    def line(self) -> str:
        figures = self.figures
        low, high = figures["interval"]
        return (
            f"{figures['task']}, {figures['placement']}: {figures['successes']} of {figures['scenes']} scenes,"
            f" success {figures['success']:.2f} ({low:.2f} to {high:.2f} with 95 %)"
        )


def tasks_of(datasets: Sequence[Path]) -> tuple[list[tuple[str, str]], str]:
    """The (task, placement) pairs that episodes of the data sets were generated in, most episodes first, as far as
    they can be rolled out here; and why there are none, or "" ."""
    counts: Counter[tuple[str, str]] = Counter()
    for path in datasets:
        for manifest in Dataset.open(path).manifests():
            for record in manifest.episodes:
                about = record["provenance"].get("generation", {})
                if "task" in about and not about.get("rolled_out"):
                    counts[about["task"], about["placement"]] += 1
    if not counts:
        return [], "the data were not generated in a task of this simulator"
    known = _known_tasks()
    if known is None:
        return [], "the simulator does not start here; see `pyramid doctor`"
    there = [pair for pair, _ in counts.most_common() if pair[0] in known]
    return there, "" if there else f"no task is called {', '.join(sorted({task for task, _ in counts}))}"


def _known_tasks() -> set[str] | None:
    """Names of all tasks, asked in a process without torch; None where the simulator does not start."""
    code = "from generators.simulation.task.registry import tasks; print(*tasks(), sep='\\n')"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return set(answer.stdout.split()) if answer.returncode == 0 else None


def tried(model: Path, tasks: Sequence[tuple[str, str]], *, scenes: int) -> list[TriedTask]:
    """Roll the policy in `model` out in `scenes` scenes of each task, into MODEL/roll-outs/TASK-PLACEMENT.

    In processes of their own: a simulator does not share one with torch. Raises WorkFailedError where one fails.
    """
    done = []
    for task, placement in tasks[:_MOST_TASKS]:
        output = model / FOLDER / f"{task}-{placement}"
        command = ["evaluate", "groot", str(model), "--task", task, "--placement", placement]
        command += ["--scenes", str(scenes), "--output", str(output)]
        result = subprocess.run([sys.executable, "-m", "workflows", *command], stdout=sys.stderr, check=False)
        if result.returncode:
            raise WorkFailedError(
                f"the policy in {model} is fitted, but its roll-outs in {task} ended with status {result.returncode};"
                f" see above, then `pyramid {' '.join(command)}`"
            )
        done.append(TriedTask(figures=read_json(output / "success.json"), folder=output))
    return done


def shown_episodes(tried_task: TriedTask) -> list[Episode]:
    """A few roll-outs to look at, failures beside successes."""
    dataset = Dataset.open(tried_task.folder)
    kinds: dict[bool, list[str]] = {True: [], False: []}
    for manifest in dataset.manifests():
        for record in manifest.episodes:
            about = record["provenance"]["generation"]
            if about.get("policy") == tried_task.figures["policy"]:
                kinds[bool(about["success"])].append(record["episode_id"])
    failed = kinds[False][: max(_CLIPS // 2, _CLIPS - len(kinds[True]))]
    return [dataset.episode(name) for name in [*kinds[True][: _CLIPS - len(failed)], *failed]]
