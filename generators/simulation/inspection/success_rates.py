"""Measured success rates of tasks, kept beside the code: written by `benchmarks.simulation.success`."""

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generators.simulation.plan_attempts import wilson_interval
from storage.atomic_files import write_whole

RATES_FILE = Path(__file__).parents[1] / "success_rates.json"


def measured_rates() -> dict[str, dict[str, Any]]:
    """Task -> placement -> {"attempts", "successes", "rate", "low", "high", "commit"}; {} when nothing was measured."""
    if not RATES_FILE.is_file():
        return {}
    rates: dict[str, dict[str, Any]] = json.loads(RATES_FILE.read_text())
    return rates


def rate_record(successes: int, attempts: int, *, commit: str) -> dict[str, Any]:
    """One measurement with its 95 % interval."""
    low, high = wilson_interval(successes, attempts)
    rate = successes / attempts if attempts else 0.0
    numbers = {"rate": round(rate, 4), "low": round(low, 4), "high": round(high, 4)}
    return {"attempts": attempts, "successes": successes, **numbers, "commit": commit}


def keep_rates(fresh: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Put fresh measurements in the place of older ones of the same tasks and placements."""
    with Path(f"{RATES_FILE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several tasks may be measured at once
        known = measured_rates()
        for task, placements in fresh.items():
            known.setdefault(task, {}).update(placements)
        write_whole(RATES_FILE, (json.dumps(known, indent=1, sort_keys=True) + "\n").encode())
