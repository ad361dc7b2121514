"""Foreign formats under damage: random bytes changed in tiny files of every reader, each input in a watched process.

What counts: an error that is not one of ours (a traceback), a crash of the interpreter, an input that takes over 10
s, a process over 1 GB. `python -m benchmarks formats_fuzz` takes 30 minutes, `--quick` one.
"""

import json
import multiprocessing
import resource
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure

BARS = {kind: {"at_most": 0.0} for kind in ("traceback", "crash", "hang", "memory")}
_HANG_S, _MEMORY_MB = 10.0, 1000.0
_BATCH = 200


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


def _work(seeds: range, pristine: str, pipe: Any) -> None:
    import logging

    # Before the clock of the first input starts.

    logging.disable(logging.CRITICAL)
    made = sorted(Path(pristine).iterdir())
    for seed in seeds:
        random = np.random.default_rng(seed)
        source = made[int(random.integers(len(made)))]
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / source.name
            shutil.copytree(source, copy)
            inner = copy if source.name == "videos" else next(copy.glob("*.h*5"), next(copy.iterdir()))
            what = damage(copy, random)
            pipe.send(("start", seed, f"{source.name}: {what}"))
            found = attempt(inner)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        pipe.send(("end", seed, found, memory))
        if memory > _MEMORY_MB:
            return


def fuzz(seconds: float, first_seed: int = 0) -> dict[str, Any]:
    """Fuzz for so long; returns counts and everything that was found."""
    context = multiprocessing.get_context("forkserver")
    found: list[dict[str, Any]] = []
    inputs, peak, until = 0, 0.0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as pristine:
        for name, make in sources().items():
            (Path(pristine) / name).mkdir()
            make(Path(pristine) / name)
        seed = first_seed
        while time.monotonic() < until:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(range(seed, seed + _BATCH), pristine, theirs))
            process.start()
            theirs.close()
            last, what, began = seed, "", time.monotonic()
            while True:
                ready = ours.poll(0.2)
                if not ready and what and time.monotonic() - began > _HANG_S:
                    found.append({"kind": "hang", "seed": last, "input": what})
                    process.kill()
                    break
                if not ready:
                    continue
                try:
                    message = ours.recv()
                except EOFError:
                    if what:
                        found.append({"kind": "crash", "seed": last, "input": what})
                    break
                if message[0] == "start":
                    last, what, began = message[1], message[2], time.monotonic()
                    continue
                inputs, peak = inputs + 1, max(peak, message[3])
                if message[2]:
                    found.append({"kind": "traceback", "seed": last, "input": what, "text": message[2]})
                if message[3] > _MEMORY_MB:
                    found.append({"kind": "memory", "seed": last, "input": what, "megabytes": message[3]})
                what = ""
            process.join()
            seed = last + 1
    return {"inputs": inputs, "peak_megabytes": round(peak), "found": found}


def run(quick: bool) -> dict[str, Any]:
    """Fuzz for 30 minutes (one with `quick`) and print everything that was found."""
    result = fuzz(60.0 if quick else 1800.0)
    figures = {"inputs": float(result["inputs"]), "peak_megabytes": float(result["peak_megabytes"])}
    for kind in ("traceback", "crash", "hang", "memory"):
        figures[kind] = float(sum(each["kind"] == kind for each in result["found"]))
    for each in result["found"]:
        print(each["kind"], each["seed"], each["input"], each.get("text", ""))
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)
