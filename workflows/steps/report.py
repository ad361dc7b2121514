"""`report`: one page about the run's data set."""

from workflows.recipes.run_context import RunContext
from workflows.report.config import ReportConfig
from workflows.steps.step_kind import PlainStep


def run_report(context: RunContext, config: ReportConfig) -> str:
    """Write the page."""
    from workflows.report.build import write_report  # what draws takes a second to import

    return f"report: {write_report(context.root, config)}"


STEP = PlainStep(config=ReportConfig, work=run_report, after_failure=True)
