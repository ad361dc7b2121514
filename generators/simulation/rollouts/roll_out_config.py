"""Settings of the stage `RollOut`; they load without MuJoCo."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from storage.errors import ConfigError, MissingFileError


@dataclass(frozen=True, kw_only=True)
class RollOutConfig:
    """A policy in a task's scenes.

    `address` is where the policy is served (`pyramid serve`), or a file that says it; `policy` names what is served
    there and enters the ids.
    A scene follows from its number alone, the same for every policy; no number gives a scene that `multiply` makes.
    Of each chunk `execute_steps` are executed; a roll-out ends after `horizon` steps, or when success has held for
    `hold_steps`. `instruction` replaces the task's. `also_check` names tasks of the same scene whose success is looked
    at as well. Pictures are square, of `size_px`.
    """

    task: str
    policy: str
    address: str = field(default="tcp://127.0.0.1:5555", metadata={"identity": False})
    token: str = field(default="", metadata={"identity": False})
    protocol: Literal["n1.5", "n1.6", "n1.7"] = field(default="n1.7", metadata={"identity": False})
    timeout_s: float = field(default=60.0, metadata={"identity": False})
    placement: str = "D0"
    execute_steps: int = 4
    horizon: int = 200
    hold_steps: int = 5
    instruction: str = ""
    also_check: tuple[str, ...] = ()
    size_px: int = 128
    quality: Literal["fast", "full"] = "fast"
    codec: str = "jpeg"

    def __post_init__(self) -> None:
        counts = (self.execute_steps, self.horizon, self.hold_steps, self.size_px)
        if min(counts) < 1 or self.timeout_s <= 0:
            raise ConfigError(f"steps, horizon, size_px and timeout_s must be positive; got {counts}, {self.timeout_s}")

    def server(self) -> str:
        """The address itself; raises MissingFileError."""
        if "://" in self.address:
            return self.address
        try:
            return Path(self.address).read_text().strip()
        except OSError:
            raise MissingFileError(
                f"no policy server: {self.address} is not there; run `pyramid evaluate groot` again, or start"
                " `pyramid serve` and write its address there"
            ) from None

    def inputs(self) -> Mapping[str, str]:
        """What the result depends on besides this config: the task's version."""
        from generators.simulation.task.registry import find_task

        task = find_task(self.task)
        return {"task": f"{task.name}@{task.version}"}
