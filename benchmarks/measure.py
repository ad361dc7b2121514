"""What every benchmark needs: CPU and wall seconds of contestants that take turns, and bars to hold figures against.

CPU seconds count, wall seconds are quoted beside them: on a shared machine only the former mean something. A ratio
comes from contestants that ran interleaved in one process.
"""

import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """CPU and wall seconds of something."""

    cpu_s: float
    wall_s: float


def timed(work: Callable[[], object]) -> Seconds:
    """Seconds that one call of `work` takes, CPU time of all threads of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Seconds(cpu_s=time.process_time() - cpu, wall_s=time.perf_counter() - wall)


def interleaved(
    contestants: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 1
) -> dict[str, Seconds]:
    """The median of `rounds` for each contestant; in every round each takes its turn. `warm_up` rounds do not count."""
    seen: dict[str, list[Seconds]] = {name: [] for name in contestants}
    for number in range(warm_up + rounds):
        for name, work in contestants.items():
            taken = timed(work)
            if number >= warm_up:
                seen[name].append(taken)
    return {
        name: Seconds(
            cpu_s=statistics.median(each.cpu_s for each in taken),
            wall_s=statistics.median(each.wall_s for each in taken),
        )
        for name, taken in seen.items()
    }


def result(figures: Mapping[str, float], bars: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """What `run` of a benchmark returns. A bar is {"at_most": x} or {"at_least": x} for the figure of its name."""
    return {
        "figures": dict(figures),
        "bars": dict(bars),
        "holds": all(holds(figures[name], bars[name]) for name in bars),
    }


def holds(figure: float, bar: Mapping[str, float]) -> bool:
    """Whether `figure` is on the right side of `bar`; NaN is not."""
    if not bar.keys() <= {"at_most", "at_least"}:
        raise ValueError(f'a bar says "at_most" or "at_least"; got {sorted(bar)}')
    return bar.get("at_least", -float("inf")) <= figure <= bar.get("at_most", float("inf"))


def print_table(figures: Mapping[str, float], bars: Mapping[str, Mapping[str, float]]) -> None:
    """Print each figure with its bar, for a person."""
    width = max(len(name) for name in figures)
    for name, figure in figures.items():
        bar = bars.get(name, {})
        words = " ".join(f"{side.replace('_', ' ')} {value:g}" for side, value in bar.items())
        verdict = f"   ({words}: {'holds' if holds(figure, bar) else 'FALLS SHORT'})" if bar else ""
        print(f"  {name:<{width}}  {figure:.4g}{verdict}")


def machine() -> str:
    """The machine in a few words."""
    return f"{platform.machine()} {_processor()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def commit() -> str:
    """The commit of this checkout, with "+" behind it when files differ from it; "unknown" outside of git."""
    here = Path(__file__).parent.parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def cache_folder() -> Path:
    """Where generated clips and fits of benchmarks are kept; `PYRAMID_BENCHMARK_CACHE` says otherwise."""
    return Path(os.environ.get("PYRAMID_BENCHMARK_CACHE", Path(tempfile.gettempdir()) / "pyramid-benchmarks"))
