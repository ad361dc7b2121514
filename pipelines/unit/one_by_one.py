"""When a stage cannot take all inputs of a unit together: who is to blame is found by handing them in one by one."""

import logging
from collections.abc import Sequence
from typing import Any

from pipelines.stage import StageCall
from pipelines.unit.unit_result import BAD_INPUT
from pipelines.unit.unit_state import name_of
from storage.errors import InputError
from storage.ids import Randomness
from storage.outcomes import Dropped, Outcome

_LOG = logging.getLogger(__name__)


def one_by_one(
    call: StageCall, inputs: Sequence[Any], randomness: Randomness, refusal: InputError
) -> list[list[Outcome]]:
    """The outcomes of a stage that raised `refusal` over `inputs` together. Inputs that it cannot take alone either are
    dropped; when it can take none, that is the unit's failure, and the first refusal is raised."""
    if len(inputs) == 1:
        raise refusal
    stage = randomness.stage
    _LOG.warning("stage %s refused a unit of %d inputs, trying them one by one: %s", stage, len(inputs), refusal)
    outcomes: list[list[Outcome]] = []
    refusals: list[InputError] = []
    for thing in inputs:
        try:
            outcomes += call([thing], randomness)
        except InputError as error:
            refusals.append(error)
            detail = {"stage": stage, "error": type(error).__name__, "message": str(error)}
            outcomes.append([Dropped(episode_id=name_of(thing), reason=BAD_INPUT, detail=detail)])
    if len(refusals) == len(inputs):
        raise refusals[0]
    return outcomes
