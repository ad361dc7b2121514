"""Neural trajectories from the command line: what `pyramid dream` and `pyramid fit video` call."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.config import config_from
from pipelines.planning.plan import described
from workflows.models.fit_and_evaluate import settings_from
from workflows.recipes.run_context import RunContext
from workflows.steps.dream import DreamStep, dream_job, run_dream
from workflows.steps.fit_video import FitVideoStep, run_fit_video


def dream_step(source: str, settings: Mapping[str, Any], config: Path | None) -> DreamStep:
    """The step that these flags and the settings file ask for; what a flag says counts over the file."""
    given = {name: value for name, value in settings.items() if value}
    step: DreamStep = config_from(DreamStep, {**settings_from(config), **given, "source": source})
    return step


def dream_lines(context: RunContext, step: DreamStep) -> Iterator[str]:
    """Make the clips; lines for people."""
    yield run_dream(context, step)
    yield f"they are in {context.root}; label them with: pyramid label idm {context.root}"


def describe_dream(context: RunContext, step: DreamStep) -> Iterator[str]:
    """The plan: units, batches, and what each component needs of the memory."""
    from generators.neural.dream import chosen_shape
    from generators.neural.models.memory import device_memory_gb, known_model, memory_plan, own_shape

    job = dream_job(context, step)
    yield described(job)
    clips = sum(len(unit.items) for unit in job.units)
    yield f"{clips} clips in batches of {min(step.batch_size, step.clips_per_unit)}"
    known = known_model(step.model)
    if known is None:
        yield f"memory: {step.model} is on a hub and not in the table of known models; load it once to know"
        return
    shape = chosen_shape(step, own_shape(step.model, known))
    options = step.model_options()
    plan = memory_plan(step.model, options, shape, batch_size=step.batch_size)
    yield f"clips of {shape.frames} frames of {shape.height_px} x {shape.width_px} px at {shape.rate_hz:g} Hz"
    if plan is not None:
        yield from plan.lines()
        have = device_memory_gb(options)
        verdict = "fits" if plan.peak_gb <= have else "does NOT fit"
        yield f"this machine's device has {have:.0f} GB: it {verdict}"


def fit_video(
    datasets: Sequence[Path], output: Path, *, model: str, steps: int, camera: str, settings: Mapping[str, Any]
) -> str:
    """Fit a LoRA to data sets; what it came to, in one line."""
    given: dict[str, Any] = {"datasets": tuple(str(path) for path in datasets), "output": str(output), "model": model}
    if steps:
        given["steps"] = steps
    if camera:
        given["camera"] = camera
    step: FitVideoStep = config_from(FitVideoStep, {**settings, **given})
    return run_fit_video(RunContext(root=output), step)
