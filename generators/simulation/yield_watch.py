"""Stopping a job whose attempts hardly ever succeed, before it has spent all that it may."""

from collections.abc import Mapping

from generators.simulation.plan_attempts import wilson_interval
from storage.errors import WorkFailedError

LEAST_RATE = 0.05
"""A job stops when the 95 % interval of its success rate lies below this; 0 never stops. None of 73 is below it."""


def check_yield(
    task: str = "", *, kept: int, dropped: Mapping[str, int], least_rate: float = LEAST_RATE, placement: str = ""
) -> None:
    """Raise WorkFailedError, with the causes of failure and what to look at, when success is rarer than `least_rate`.

    `dropped` counts the failed attempts by cause; `task` is what the messages call it.
    """
    attempts = kept + sum(dropped.values())
    high = wilson_interval(kept, attempts)[1]
    if high >= least_rate:
        return
    counted = sorted(dropped.items(), key=lambda one: -one[1])[:4]
    causes = "; ".join(f"{count} x {cause}" for cause, count in counted)
    what = f" at {task}" if task else ""
    where = f" on placement {placement}" if placement else ""
    raise WorkFailedError(
        f"{kept} of {attempts} attempts{what}{where} succeeded, so their rate is below {100 * high:.1f} % (95 %),"
        f" less than the {100 * least_rate:g} % at which a job goes on. Causes: {causes}. Look at `pyramid sim check"
        f" {task or 'TASK'}` (its picture shows how the demonstrations split and where their checks fail), try"
        " --placement of the demonstrations, or ask for a lower --least-rate under another --name or --output"
    )
