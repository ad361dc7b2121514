"""What a training window holds, and from which data sets windows come. Times are in seconds: rates differ tenfold."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from storage.datasets.dataset import Dataset
from storage.errors import ConfigError
from storage.fields import field_of


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set, or a part of one, that windows are drawn from.

    `action` is the kind that the chunk is made of ("" for none); episodes without it are left out. `weight` is this
    source's share of the stream, relative to the others' (all or none of the sources have one). `layers` and
    `embodiments` choose episodes, () for all; `episodes` are the ids to draw from, None for all (training and held-out
    episodes of one data set are two sources). Of a data set that was opened with a selection only that is drawn.
    `head` is the name under which its vectors appear in `Windows.embodiments`; "" for the embodiment's own. Give labels
    of different kinds different heads.
    """

    dataset: Dataset
    name: str = ""
    weight: float | None = None
    action: str = "action/ground_truth"
    layers: tuple[str, ...] = ()
    embodiments: tuple[str, ...] = ()
    episodes: frozenset[str] | None = None
    head: str = ""

    def __post_init__(self) -> None:
        if self.weight is not None and not self.weight > 0:
            raise ConfigError(f"the weight of a source is above 0; got {self.weight}")
        if self.action and not self.action.startswith("action/"):
            raise ConfigError(f'a source gives actions such as "action/predicted", or "" for none; got {self.action!r}')

    @property
    def title(self) -> str:
        return self.name or self.dataset.name


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """What is in a window around its present step.

    `cameras` maps the name of a view to the cameras that may fill it, the first one that an episode has is taken.
    Frames are given at `observation_offsets_s` and states at `state_offsets_s` from the present (negative: the past),
    each at the nearest step. The action chunk has `horizon_steps` steps from the present on: recorded ones, or with
    `horizon_s` steps of horizon_s / horizon_steps seconds resampled from them. `fields` names further arrays, given
    at the present step. With `confidence` every number of the chunk comes with what its labeller said of it, 1 where
    nobody said anything. `size_px` (height, width) resizes every frame; None leaves them as they are.

    What lies beyond an episode's ends repeats its first or last step and is masked out; with `pad_observations` or
    `pad_actions` off, no window reaches beyond them.
    """

    cameras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    observation_offsets_s: tuple[float, ...] = (0.0,)
    state_offsets_s: tuple[float, ...] = (0.0,)
    horizon_steps: int = 16
    horizon_s: float | None = None
    fields: tuple[str, ...] = ()
    confidence: bool = False
    size_px: tuple[int, int] | None = None
    pad_observations: bool = True
    pad_actions: bool = True

    def __post_init__(self) -> None:
        if not self.observation_offsets_s or not self.state_offsets_s:
            raise ConfigError("observation_offsets_s and state_offsets_s need at least one time each, such as (0.0,)")
        if self.horizon_steps < 1 or (self.horizon_s is not None and not self.horizon_s > 0):
            raise ConfigError(
                f"an action chunk has at least one step and a horizon above 0 s;"
                f" got {self.horizon_steps} steps, {self.horizon_s} s"
            )
        if self.size_px is not None and min(self.size_px) < 1:
            raise ConfigError(f"size_px is (height, width) in pixels; got {self.size_px}")
        for view, names in self.cameras.items():
            if not isinstance(names, tuple) or not names:
                raise ConfigError(f"view {view!r} maps to a tuple of camera names; got {names!r}")
        for name in self.fields:
            if field_of(name).form != "array":
                raise ConfigError(f"`fields` of a window names arrays; {name!r} is a {field_of(name).form}")
