"""What a stage makes of the inputs of a unit, call by call: checked, counted, and told to the recorder as it comes."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.job import PlannedJob, PlannedStage
from pipelines.stage import StageCall
from pipelines.unit.crash_recorder import Recorder
from pipelines.unit.outcome_check import check_outcomes
from pipelines.unit.stopwatch import Stopwatch
from pipelines.unit.unit_result import BAD_INPUT
from pipelines.unit.unit_state import UnitState, added_bytes, name_of
from storage.datasets.manifest import StageRecord
from storage.datasets.unit_paths import SHARDS
from storage.errors import InputError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome

_LOG = logging.getLogger(__name__)


class Outcomes:
    """The outcomes of one stage for one unit. Inputs that the stage cannot take at all (InputError) are dropped; when
    it can take none, that is the unit's failure."""

    def __init__(self, stage: PlannedStage, state: UnitState, meter: "Meter") -> None:
        self._stage, self._state, self._meter = stage, state, meter
        self.randomness = Randomness(state.unit.seed, stage.name)
        self._clock = Stopwatch()
        self._outcomes: list[list[Outcome]] = []
        self._refusals: list[InputError] = []
        meter.tell(stage.name, 0.0, self._outcomes)

    def chunks(self) -> Iterator[Sequence[Any]]:
        """The inputs of the unit, as many at a time as the stage's row says. The stage's clock starts here."""
        self._clock = Stopwatch()
        inputs = self._state.inputs
        size = self._stage.row.at_once or max(1, len(inputs))
        return (inputs[at : at + size] for at in range(0, len(inputs), size))

    def take(self, inputs: Sequence[Any], outcomes: list[list[Outcome]]) -> None:
        """Take in what the stage returned for `inputs`; raises StageContractError."""
        row, state = self._stage.row, self._state
        labelling = not row.source and state.unit.sink != SHARDS
        check_outcomes(self._stage.name, inputs, outcomes, writes=row.writes, labelling=labelling)
        self._outcomes += outcomes
        self._meter.tell(self._stage.name, len(self._outcomes) / len(state.inputs), self._outcomes)

    def take_one_by_one(self, inputs: Sequence[Any], call: StageCall, refusal: InputError) -> None:
        """Find out which of `inputs` the stage cannot take, after it refused them together."""
        if len(inputs) > 1:
            name, count = self._stage.name, len(inputs)
            _LOG.warning("stage %s refused %d inputs together, trying them one by one: %s", name, count, refusal)
        for thing in inputs:
            try:
                if len(inputs) == 1:
                    raise refusal
                self.take([thing], call([thing], self.randomness))
            except InputError as error:
                self._refusals.append(error)
                detail = {"stage": self._stage.name, "error": type(error).__name__, "message": str(error)}
                self._outcomes.append([Dropped(episode_id=name_of(thing), reason=BAD_INPUT, detail=detail)])

    def state_after(self) -> UnitState:
        """The unit after the stage. Raises the first refusal when the stage could take none of the inputs."""
        if self._refusals and len(self._refusals) == len(self._state.inputs):
            raise self._refusals[0]
        # Not before: a unit that fails is tried again, and would say it each time.
        for refusal in self._refusals:
            _LOG.warning("left out by stage %s: %s", self._stage.name, refusal)
        wall_s, cpu_s = self._clock.wall_s, self._clock.cpu_s
        dropped = Counter(each.reason for outcomes in self._outcomes for each in outcomes if isinstance(each, Dropped))
        record = StageRecord(
            name=self._stage.name,
            version=self._stage.row.version,
            wall_s=wall_s,
            cpu_s=cpu_s,
            inputs=len(self._state.inputs),
            kept=sum(map(len, self._outcomes)) - dropped.total(),
            dropped=dict(dropped),
            bytes=added_bytes(self._state.inputs, self._outcomes),
        )
        return self._state.after(record, self._outcomes, source=self._stage.row.source)


class Meter:
    """How far a unit is: every stage of the job counts the same, but for those that do no work to speak of (cpus 0)."""

    def __init__(self, job: PlannedJob, place: int, recorder: Recorder) -> None:
        weights = [float(stage.row.resources.cpus > 0) for stage in job.stages]
        total = sum(weights) or 1.0
        self._before, self._weight = sum(weights[:place]) / total, weights[place] / total
        self._is_last = place == len(job.stages) - 1
        self._recorder = recorder

    def tell(self, stage: str, share: float, outcomes: Sequence[Sequence[Outcome]]) -> None:
        """Record that `share` of the inputs went through the stage, with what they became."""
        kept = sum(isinstance(outcome, Kept) for each in outcomes for outcome in each) if self._is_last else 0
        self._recorder.at(stage, self._before + share * self._weight, kept=kept)
