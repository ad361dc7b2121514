"""The steps that a recipe is made of: one file each, listed in `STEPS`."""

from workflows.steps import (
    dream,
    evaluate,
    fit,
    fit_video,
    generate,
    import_data,
    judge,
    label,
    read_batches,
    report,
    select,
    stages,
    stand_in,
    statistics,
)
from workflows.steps.relabelling import model_steps, near_duplicates, relabel_report, watch
from workflows.steps.step_kind import StepKind

STEPS: dict[str, StepKind] = {
    "generate": generate.STEP,
    "import": import_data.STEP,
    "fit_video": fit_video.STEP,
    "dream": dream.STEP,
    "fit": fit.STEP,
    "label": label.STEP,
    "judge": judge.STEP,
    "evaluate": evaluate.STEP,
    "stages": stages.STEP,
    "stand_in": stand_in.STEP,
    "statistics": statistics.STEP,
    "read_batches": read_batches.STEP,
    "report": report.STEP,
    "watch": watch.STEP,
    "near_duplicates": near_duplicates.STEP,
    "captions": model_steps.CAPTIONS,
    "boxes": model_steps.BOXES,
    "select": select.STEP,
    "relabel_report": relabel_report.STEP,
}
"""Every kind of step by the name that it has in a recipe."""
