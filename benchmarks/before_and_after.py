"""What this checkout takes against an older one, in turns on one machine: import, label and verify.

    PYRAMID_BEFORE=/folder/of/the/older/checkout PYRAMID_REAL_DATA=... python -m benchmarks before_and_after

CPU seconds of one process each, with all libraries loaded; the median of the ratios of rounds.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import measure

MEASURED = ("import", "import_many_units", "label_many_units", "verify", "verify_many_units")
BARS = {f"{name}_ratio": {"at_most": 1.05} for name in MEASURED}
_PROGRAM = """
import json, logging, os, sys, time
from pathlib import Path
logging.disable(logging.CRITICAL)
from pipelines.job import Job
from pipelines.read_unit import fields_of, label_units
from pipelines.run_job import run_job
from pipelines.testing.tiny_jobs import load_test_stages, tiny_job
from storage.datasets.dataset import Dataset
try:
    from storage.verification.verify import verify
except ImportError:
    from storage.datasets.verify import verify
from workflows.steps.import_data import ImportStep, import_job
try:
    from workflows.recipes.run_context import RunContext
except ImportError:
    from workflows.run_context import RunContext

load_test_stages()
folder, units, episodes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
seconds = {}

def timed(name, work):
    began = time.process_time()
    work()
    seconds[name] = time.process_time() - began

def imports(root, limit):
    step = ImportStep(path=str(Path(os.environ["PYRAMID_REAL_DATA"]) / "g1_real_bottle"), limit=limit,
                      episodes_per_unit=2, size_px=(128, 170))
    run_job(root, import_job(RunContext(root=root), step))

def label(root):
    dataset = Dataset.open(root)
    run_job(root, Job(name="label", stages=(("read_unit", {}), ("tiny_label", {})), units=label_units(dataset),
                      sink="labels/tiny", provides=fields_of(dataset)))

def many(root, units):
    run_job(root, tiny_job(("tiny_source", {"length": 60}), units=units, items_per_unit=8))

imports(folder / "warm", 1)
many(folder / "warm_many", 1)
label(folder / "warm_many")
verify(folder / "warm_many")
timed("import", lambda: imports(folder / "real", episodes))
timed("import_many_units", lambda: many(folder / "many", units))
timed("label_many_units", lambda: label(folder / "many"))
timed("verify", lambda: [verify(folder / "real") for _ in range(4)])
timed("verify_many_units", lambda: [verify(folder / "many") for _ in range(4)])
print(json.dumps(seconds))
"""


def seconds_of(checkout: Path, *, units: int, episodes: int) -> dict[str, float]:
    """CPU seconds of each piece of work with the code in `checkout`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "ignore", "-c", _PROGRAM, folder, str(units), str(episodes)]
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{checkout}: {done.stderr[-2000:]}")
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def run(quick: bool) -> dict[str, Any]:
    """Measure in turns, the older checkout first in every other round."""
    now, before = Path(__file__).resolve().parents[1], Path(os.environ["PYRAMID_BEFORE"])
    rounds = []
    for number in range(3 if quick else 7):
        order = [before, now] if number % 2 else [now, before]
        rounds.append({each: seconds_of(each, units=60, episodes=2) for each in order})
        told = {name: f"{rounds[-1][before][name]:.2f} -> {rounds[-1][now][name]:.2f}" for name in MEASURED}
        print(f"round {number}: {told}", flush=True)
    figures = {}
    for name in MEASURED:
        figures[f"{name}_cpu_s"] = statistics.median(each[now][name] for each in rounds)
        figures[f"{name}_ratio"] = statistics.median(each[now][name] / each[before][name] for each in rounds)
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)
