"""A data set under damage: one file of it changed, cut, filled up, emptied or deleted, and then everything that reads
or mends it, each input in a watched process.

What counts, besides what benchmarks/formats/fuzz.py counts: damage that `verify` does not find, and damage that is
still there after `repair` where no error says so. `python -m benchmarks dataset_fuzz` takes 15 minutes of CPU.
"""

import logging
import shutil
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.formats import fuzz as formats_fuzz

KINDS = ("traceback", "crash", "hang", "memory")
BARS = {kind: {"at_most": 0.0} for kind in (*KINDS, "missed", "unmended")}
_FREE = ("statistics/", "source/", "index/CURRENT", "report.html")
"""Files that may be thrown away at any time, or do not belong to the data set."""


def make(root: Path) -> Path:
    """A small data set as the product writes it: an import with a dead letter, labels, verdicts, a selection, what a
    person decided, an index. Its source lies in it, so that a copy of it can be made again."""
    from pipelines.job import Policy
    from pipelines.run_job import EngineOptions, run_job
    from storage.datasets.dataset import Dataset
    from storage.datasets.merged_statistics import write_merged_statistics
    from storage.formats.testing import tiny_lerobot
    from storage.verdicts.reviews import Decision, append_decision
    from storage.verdicts.selection import SelectionPolicy
    from workflows.datasets.selecting import select_episodes
    from workflows.recipes.run_context import RunContext
    from workflows.steps.import_data import ImportStep, import_job
    from workflows.steps.judge import JudgeStep, judge_job

    source = tiny_lerobot(root / "source", numbers=(0, 1, 2), sizes=(6, 6))
    job = import_job(RunContext(root=root / "data"), ImportStep(path=str(source), episodes_per_unit=1, max_failed=1.0))
    broken = source / "data/chunk-000/episode_000002.parquet"
    broken.write_bytes(broken.read_bytes()[:200])
    run_job(root / "data", _replaced(job, policy=Policy(max_failed_fraction=1.0, attempts=1)), EngineOptions())
    run_job(root / "data", judge_job(RunContext(root=root / "data"), JudgeStep(kind="rules")), EngineOptions())
    first = next(Dataset.open(root / "data").episodes()).episode_id
    append_decision(root / "data", Decision(episode_id=first, accept=True, note="good"))
    select_episodes(root / "data", "good", SelectionPolicy())
    write_merged_statistics(Dataset.open(root / "data"))
    return root


def _replaced(job: Any, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(job, **changes)


def damage(root: Path, random: np.random.Generator) -> str:
    """Change one file of the data set in `root`; returns what was done, and the file after the last space."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    chosen = files[int(random.integers(len(files)))]
    kind = str(random.choice(["change", "change", "change", "delete", "empty", "unseal"]))
    if kind == "unseal":  # files of older programs have no checksum; what they hold is as foreign
        for path in files:
            if path.suffix in (".json", ".jsonl") and "shards" not in path.parts:
                lines = path.read_bytes().splitlines(keepends=True)
                path.write_bytes(b"".join(line for line in lines if b'"_seal"' not in line))
    where = chosen.relative_to(root).as_posix()
    if kind == "delete":
        chosen.unlink()
    elif kind == "empty":
        chosen.write_bytes(b"")
    else:
        before = chosen.read_bytes()
        holder = chosen.parent / "_damaged"
        holder.mkdir()
        chosen.rename(holder / chosen.name)
        formats_fuzz.damage(holder, random)
        (holder / chosen.name).rename(chosen)
        holder.rmdir()
        if chosen.read_bytes() == before:
            return f"nothing in {where}"
    return f"{kind} {where}"


def attempt(root: Path, what: str) -> list[tuple[str, str]]:
    """Do everything with the data set in `root`; returns (kind, text) of each thing that is not as it must be."""
    from storage.errors import PyramidError

    findings: list[tuple[str, str]] = []

    def tried(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except PyramidError as error:
            return error
        except Exception:  # noqa: BLE001 - whatever escapes is what is looked for
            findings.append(("traceback", traceback.format_exc(limit=-8)))
            return None

    first = tried(partial(_verify, root))
    for work in (_read, _look, _export, _resume):
        tried(partial(work, root))
    where = what.split(" ", 1)[1]
    harmless = what.startswith(("nothing", "unseal")) or where.startswith(_FREE)
    if first == [] and not harmless and not (what.startswith(("delete", "empty")) and _may_go(where)):
        findings.append(("missed", what))
    done = tried(partial(_repair, root))
    again = tried(partial(_verify, root))
    if not isinstance(done, PyramidError) and isinstance(again, list):
        left = [each for each in again if each.is_damage and each.kind not in ("selection", "review")]
        if left:
            findings.append(("unmended", f"{what}: {'; '.join(map(str, left))}"))
    return findings


def _may_go(where: str) -> bool:
    """Whether a file may be gone, or a list be empty, for a good reason: indices are made again, letters buried,
    choices removed by people, and the file of a job that is done says nothing."""
    if where.startswith(("failed/", "selections/", "reviews/")):
        return True
    return "index/" in where or where == "plan/judge-rules.json"


def _verify(root: Path) -> Any:
    from storage.verification.verify import verify

    return verify(root)


def _read(root: Path) -> None:
    from storage.datasets.dataset import Dataset
    from storage.errors import PyramidError

    for selection, checked in (("good", True), ("", False)):
        try:
            dataset = Dataset.open(root, labels=("rules",), selection=selection, checked=checked)
        except PyramidError:
            continue
        dataset.instructions()
        for episode in dataset.episodes():
            for rows in episode.arrays.values():
                np.asarray(rows).sum()
            for frames in episode.cameras.values():
                frames.decode([0, len(frames) - 1])


def _look(root: Path) -> None:
    from storage.datasets.dataset import Dataset
    from storage.verdicts.reviews import people_of
    from workflows.datasets.dataset_info import dataset_info, info_text
    from workflows.status import status_of, status_text

    people_of(root)
    status_text(status_of(root))
    info_text(dataset_info(Dataset.open(root)))


def _export(root: Path) -> None:
    from workflows.datasets.export import export_dataset

    export_dataset(root, root.parent / "exported", kind="robomimic", labels=("rules",))


def _resume(root: Path) -> None:
    from pipelines.run_job import EngineOptions, resume

    resume(root, options=EngineOptions())


def _repair(root: Path) -> Any:
    from pipelines.run_job import EngineOptions
    from workflows.datasets.repair import repair_and_resume

    return repair_and_resume(root, EngineOptions(), again=True)


def work(seeds: range, pristine: str, stacks: str, pipe: Any) -> None:
    """As `formats_fuzz._work`, over copies of the data set."""
    import faulthandler
    import resource
    import signal
    import time

    import storage.formats.import_stage  # noqa: F401 - before the clock of the first input starts

    logging.disable(logging.CRITICAL)
    home = Path(pristine) / "dataset"
    aside = home.with_name("aside")
    with Path(stacks).open("a") as stack:
        faulthandler.register(signal.SIGUSR1, stack)
        for seed in seeds:
            shutil.rmtree(aside, ignore_errors=True)
            shutil.copytree(home / "data", aside / "data")
            what = damage(aside / "data", np.random.default_rng(seed))
            pipe.send(("start", seed, what, time.process_time()))
            findings = attempt(aside / "data", what)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
            text = "\n".join(f"{kind}: {told}" for kind, told in findings)
            if text:
                print(seed, what, text, flush=True)
            pipe.send(("end", seed, text, memory, time.process_time()))


def run(quick: bool, *, first_seed: int = 0) -> dict[str, Any]:
    """Fuzz for 15 minutes of CPU time (one with `quick`) and print everything that was found."""
    watch = formats_fuzz.fuzz(60.0 if quick else 900.0, first_seed, sources=lambda: {"dataset": make}, work=work)
    figures = {"inputs": float(watch.inputs), "peak_megabytes": watch.peak_megabytes, "cpu_s": watch.cpu_s}
    figures["slowest_input_cpu_s"] = watch.slowest[0]
    for kind in KINDS:
        figures[kind] = float(sum(each["kind"] == kind for each in watch.found))
    texts = [each.get("text", "") for each in watch.found if each["kind"] == "traceback"]
    figures["traceback"] = float(sum("traceback: " in text for text in texts))
    for kind in ("missed", "unmended"):
        figures[kind] = float(sum(f"{kind}: " in text for text in texts))
    for each in watch.found:
        if each["kind"] != "traceback":  # printed when it was found
            print(each["kind"], each["seed"], each["input"], each.get("text", ""))
    print("slowest input:", watch.slowest[1])
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)
