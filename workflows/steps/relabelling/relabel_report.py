"""`relabel_report`: one page about what became of the hours of video."""

from workflows.recipes.run_context import RunContext
from workflows.relabel_report.build import RelabelReportStep, write_relabel_report
from workflows.steps.step_kind import PlainStep


def run_relabel_report(context: RunContext, step: RelabelReportStep) -> str:
    """Write the page."""
    return f"report: {write_relabel_report(context.root, step)}"


STEP = PlainStep(config=RelabelReportStep, work=run_relabel_report, after_failure=True)
