"""`evaluate`: roll a policy out in the simulator, in fixed scenes that no training ever saw."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.job import with_dataset
from storage.errors import ConfigError
from workflows.recipes.run_context import RunContext
from workflows.steps.step_kind import PlainStep

if TYPE_CHECKING:
    from workflows.models.roll_outs import RollOutPlan

FOLDER = "evaluations"


@dataclass(frozen=True, kw_only=True)
class EvaluateStep:
    """Roll the policy in the folder `model` ("@dataset/models/<name>" for one that a step fitted) out in `scenes`
    scenes of `task`; figures, clips and a page go to `evaluations/<name>` of the run."""

    model: str
    task: str
    placement: str = "D0"
    scenes: int = 10
    first_scene: int = 0
    name: str = ""

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.first_scene < 0:
            raise ConfigError(f"scenes must be at least 1; got {self.scenes} from scene {self.first_scene}")


def run_evaluate(context: RunContext, step: EvaluateStep) -> str:
    """Roll out, on the run's engine; what was rolled out before with this policy is not done again."""
    from workflows.models.training import evaluate_groot

    plan = _plan(step)
    output = context.root / FOLDER / (step.name or step.task)
    model = Path(with_dataset(step.model, context.root))
    return evaluate_groot(model, output, plan=plan, options=context.options)


def known_task(step: EvaluateStep) -> None:
    """Raise UnknownNameError for a task or a placement that is not there, hours before the policy is."""
    from workflows.models.roll_outs import roll_out_job

    roll_out_job(_plan(step), policy="")


def _plan(step: EvaluateStep) -> "RollOutPlan":
    from workflows.models.roll_outs import RollOutPlan

    return RollOutPlan(task=step.task, placement=step.placement, scenes=step.scenes, first_scene=step.first_scene)


STEP = PlainStep(config=EvaluateStep, work=run_evaluate, reads_data=True, check=known_task)
