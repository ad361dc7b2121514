"""Bodies of two Pandas that carry something other than parallel grippers."""

from generators.simulation.actuation import OscActuation
from generators.simulation.robots import ROBOT_PER_SIDE, arms_state
from generators.simulation.task import Body
from storage.embodiment import TWO_PANDAS_HANDLESS, TWO_PANDAS_INSPIRE

TWO_PANDAS_HANDLESS_BODY = Body(
    embodiment=TWO_PANDAS_HANDLESS.name,
    robots=("Panda", "Panda"),
    arms=ROBOT_PER_SIDE,
    state=arms_state(ROBOT_PER_SIDE),
    actuation=OscActuation,
)
TWO_PANDAS_INSPIRE_BODY = Body(
    embodiment=TWO_PANDAS_INSPIRE.name,
    robots=("PandaDexRH", "PandaDexLH"),
    arms=ROBOT_PER_SIDE,
    state=arms_state(ROBOT_PER_SIDE),
    actuation=OscActuation,
)
