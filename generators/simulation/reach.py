"""Whether an arm can follow waypoints at all, before physics is spent on them."""

from generators.simulation.scene import Scene
from generators.simulation.task import Arm
from generators.simulation.transform import Waypoints


class ReachCheck:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def problem(self, arm: Arm, waypoints: Waypoints) -> str:
        return ""
