"""Foreign formats under damage: random bytes changed in tiny files of every reader, each input in a watched process.

What counts: an error that is not one of ours (a traceback), a crash of the interpreter, an input that takes over 10
s of CPU (or 10 minutes of waiting), a process over 1 GB. Times are the process's own, so that a busy machine changes
nothing. `python -m benchmarks formats_fuzz` takes 30 minutes of CPU, `--quick` one.
"""

import json
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import measure

BARS = {kind: {"at_most": 0.0} for kind in ("traceback", "crash", "hang", "memory")}
_HANG_S, _STILL_S, _MEMORY_MB = 10.0, 600.0, 1000.0
_BATCH = 1000


def sources() -> dict[str, Callable[[Path], Path]]:
    """A tiny source of every reader."""
    from storage.formats.testing import laboratories, tiny_lerobot, tiny_robomimic, tiny_video
    from storage.formats.testing.lerobot_v3 import tiny_lerobot_v3

    def videos(root: Path) -> Path:
        tiny_video(root / "a.mp4")
        (root / "captions.jsonl").write_text(json.dumps({"file": "a.mp4", "instruction": "go"}) + "\n")
        return root

    return {
        "lerobot": lambda root: tiny_lerobot(root / "set", numbers=(0, 1), sizes=(6, 6)),
        "lerobot_v3": lambda root: tiny_lerobot_v3(root / "set"),
        "robomimic": lambda root: tiny_robomimic(root / "demo.hdf5", demos=2),
        "isaac_lab": lambda root: laboratories.tiny_isaac_lab(root / "demo.hdf5"),
        "aloha": lambda root: laboratories.tiny_aloha(root / "set"),
        "maniskill": lambda root: laboratories.tiny_maniskill(root / "trajectory.h5"),
        "replay_zarr": lambda root: laboratories.tiny_replay_zarr(root / "buffer.zarr"),
        "agibot": lambda root: laboratories.tiny_agibot(root / "set"),
        "droid": lambda root: laboratories.tiny_droid(root / "set"),
        "rlds": lambda root: laboratories.tiny_rlds(root / "set"),
        "videos": videos,
    }


def damage(root: Path, random: np.random.Generator) -> str:
    """Change one file below `root`: some bytes, its end, or a piece put in; returns which."""
    files = sorted(path for path in ([root] if root.is_file() else root.rglob("*")) if path.is_file())
    path = files[int(random.integers(len(files)))]
    content = bytearray(path.read_bytes())
    kind = str(random.choice(["bytes", "bytes", "bytes", "cut", "insert", "digits"]))
    if kind == "cut" and content:
        del content[int(random.integers(len(content))) :]
    elif kind == "insert":
        at = int(random.integers(len(content) + 1))
        content[at:at] = bytes(random.integers(0, 256, int(random.integers(1, 64)), dtype=np.uint8))
    elif kind == "digits" and (digits := [at for at, byte in enumerate(content) if 48 <= byte <= 57]):
        for at in random.choice(digits, min(4, len(digits))):
            content[int(at)] = int(random.integers(48, 58))
    elif content:
        for at in random.integers(0, len(content), int(random.integers(1, 9))):
            content[int(at)] = int(random.integers(256))
    path.write_bytes(bytes(content))
    return f"{kind} in {path.name}"


def attempt(root: Path) -> str:
    """Look into and import what lies at `root`; returns what came of it, "" where an error of ours or nothing did."""
    from storage.errors import PyramidError
    from storage.formats.import_item import ImportConfig
    from storage.formats.import_stage import ImportEpisodes, fates_of, list_items
    from storage.ids import Randomness

    config = ImportConfig(path=str(root), rate_hz=20.0)
    try:
        fates_of(config)
        units = list_items(config)
        for item in (item for unit in units for item in unit):
            try:
                ImportEpisodes(config)([item], Randomness(0, "import_episodes"))
            except PyramidError:
                continue
    except PyramidError:
        return ""
    except Exception:  # noqa: BLE001 - whatever escapes is what is looked for
        return traceback.format_exc(limit=-6)
    return ""


def _work(seeds: range, pristine: str, stacks: str, pipe: Any) -> None:
    """Work through `seeds`; says over `pipe` when each begins and ends. SIGUSR1 writes the stack into `stacks`."""
    import faulthandler
    import logging

    # Libraries load before the clock of the first input starts.
    import storage.formats.import_stage  # noqa: F401

    logging.disable(logging.CRITICAL)
    made = sorted(Path(pristine).iterdir())
    with Path(stacks).open("a") as stack, tempfile.TemporaryDirectory() as folder:
        faulthandler.register(signal.SIGUSR1, stack)
        for seed in seeds:
            source, copy, what = _damaged(seed, made, Path(folder) / str(seed))
            pipe.send(("start", seed, f"{source}: {what}", time.process_time()))
            inner = copy if source == "videos" else next(copy.glob("*.h*5"), next(copy.iterdir()))
            outcome = attempt(inner)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
            pipe.send(("end", seed, outcome, memory, time.process_time()))
            shutil.rmtree(copy)
            if memory > _MEMORY_MB:
                return


def _damaged(seed: int, made: list[Path], copy: Path) -> tuple[str, Path, str]:
    """(name of the source, a damaged copy of it, what was done) for `seed`."""
    random = np.random.default_rng(seed)
    source = made[int(random.integers(len(made)))]
    shutil.copytree(source, copy)
    return source.name, copy, damage(copy, random)


@dataclass
class Watch:
    """What a run has seen: `inputs` done, their peak of memory and CPU seconds, and everything that was `found`."""

    stacks: Path
    inputs: int = 0
    peak_megabytes: float = 0.0
    cpu_s: float = 0.0
    slowest: tuple[float, str] = (0.0, "")
    found: list[dict[str, Any]] = field(default_factory=list)

    def worker(self, process: Any, pipe: Any, seed: int) -> int:
        """Watch one worker to its end; returns the first seed that is left."""
        last, what, began, cpu = seed, "", 0.0, 0.0
        while True:
            if not pipe.poll(0.2):
                if what and (_cpu_s(process.pid) - cpu > _HANG_S or time.monotonic() - began > _STILL_S):
                    self._hang(process, last, what)
                    return last + 1
                continue
            try:
                message = pipe.recv()
            except EOFError:
                if what:
                    self._find("crash", last, what, f"exit {process.exitcode}")
                return last + 1
            if message[0] == "start":
                last, what, began, cpu = message[1], message[2], time.monotonic(), message[3]
            else:
                self._input(last, what, message, cpu)
                what = ""

    def _input(self, seed: int, what: str, message: Any, cpu: float) -> None:
        _, _, text, megabytes, now = message
        self.inputs, self.peak_megabytes = self.inputs + 1, max(self.peak_megabytes, megabytes)
        self.cpu_s += now - cpu
        if self.inputs % 200 == 0:
            print(f"{self.inputs} inputs, {self.cpu_s:.0f} CPU s, {len(self.found)} found", flush=True)
        self.slowest = max(self.slowest, (now - cpu, f"{seed} {what}"))
        if text:
            self._find("traceback", seed, what, text)
        if now - cpu > _HANG_S:
            self._find("hang", seed, what, f"{now - cpu:.1f} s of CPU")
        if megabytes > _MEMORY_MB:
            self._find("memory", seed, what, f"{megabytes:.0f} MB")

    def _find(self, kind: str, seed: int, what: str, text: str) -> None:
        self.found.append({"kind": kind, "seed": seed, "input": what, "text": text})
        print("found:", kind, seed, what, text, flush=True)

    def _hang(self, process: Any, seed: int, what: str) -> None:
        self.cpu_s += _HANG_S
        before = self.stacks.stat().st_size
        os.kill(process.pid, signal.SIGUSR1)
        time.sleep(1.0)
        process.kill()
        self._find("hang", seed, what, self.stacks.read_text()[before:])


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process, 0 when it has ended."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def fuzz(
    cpu_s: float,
    first_seed: int = 0,
    *,
    sources: Callable[[], Mapping[str, Callable[[Path], Path]]] = sources,
    work: Callable[[range, str, str, Any], None] = _work,
) -> Watch:
    """Fuzz until `work` has taken so many CPU seconds; returns counts and everything that was found.

    `work` takes seeds, the folder in which `sources` were made, a file for stacks, and the pipe (see `_work`).
    """
    context = multiprocessing.get_context("forkserver")
    with tempfile.TemporaryDirectory() as folder:
        pristine, stacks = Path(folder) / "pristine", Path(folder) / "stacks"
        stacks.touch()
        for name, make in sources().items():
            (pristine / name).mkdir(parents=True)
            make(pristine / name)
        watch, seed = Watch(stacks), first_seed
        while watch.cpu_s < cpu_s:
            ours, theirs = context.Pipe()
            batch = range(seed, seed + _BATCH)
            process = context.Process(target=work, args=(batch, str(pristine), str(stacks), theirs))
            process.start()
            theirs.close()
            seed = watch.worker(process, ours, seed)
            process.join()
    return watch


def run(quick: bool, *, first_seed: int = 0) -> dict[str, Any]:
    """Fuzz for 30 minutes of CPU time (one with `quick`) and print everything that was found."""
    watch = fuzz(60.0 if quick else 1800.0, first_seed)
    figures = {"inputs": float(watch.inputs), "peak_megabytes": watch.peak_megabytes, "cpu_s": watch.cpu_s}
    figures["slowest_input_cpu_s"] = watch.slowest[0]
    for kind in ("traceback", "crash", "hang", "memory"):
        figures[kind] = float(sum(each["kind"] == kind for each in watch.found))
    print("slowest input:", watch.slowest[1])
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)
