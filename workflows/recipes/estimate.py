"""What a recipe will cost before it runs: items, CPU time of one core and disk, step by step.

Figures a piece were measured on one core (`benchmarks/RESULTS.md`); what nobody measured is said to be open, and never
guessed. Steps see what the steps before them are expected to make.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workflows.recipes.recipe import Step

PICTURE_CPU_S = 3.72e-3 / 128**2
"""Drawing a pixel (simulation_render: 3.72 ms for 128 x 128)."""
JPEG_BYTES_A_PIXEL = 0.2
"""Of 64 and 128 pixels a side 0.19 to 0.22, of larger ones less."""
LABEL_CPU_S = {"idm": 2.9e-3, "lapa": 1.9e-3}
"""A camera frame, decoding included (idm_speed, lapa_speed)."""
RULES_CPU_S = 1 / 1547
STARTER_CLIP_CPU_S = 0.28
STARTER_CLIP = (21, 64)
"""Frames and side of a clip of the starter that dreams, which takes 16 steps (neural_speed)."""
STARTER_POLICY_STEP_CPU_S, STARTER_POLICY_STEPS = 0.42, 3000
WATCHED_CPU_S, HAND_LOOK_CPU_S = 1 / 7.5, 0.041
"""A second of video of 640x480 at 30 Hz without hands (relabel_speed), and a look for hands (relabel_hands)."""
ROLL_OUT_CPU_S = 6.0
"""A scene with pictures and chunks (groot_policy)."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one step: how many `what`, CPU seconds of one core and bytes; None where it is open, and `why`."""

    items: int | None = None
    what: str = ""
    cpu_s: float | None = None
    disk_bytes: float | None = None
    why: str = ""


@dataclass(kw_only=True)
class Expected:
    """What the data set will hold by then: camera frames and episodes by embodiment. `open` names steps whose output
    nobody knows yet, so that later ones cost more than is said."""

    frames: dict[str, int] = field(default_factory=dict)
    episodes: dict[str, int] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    def add(self, embodiment: str, *, episodes: int, frames: int) -> None:
        self.frames[embodiment] = self.frames.get(embodiment, 0) + frames
        self.episodes[embodiment] = self.episodes.get(embodiment, 0) + episodes

    def frames_of(self, embodiments: Sequence[str]) -> int:
        return sum(count for name, count in self.frames.items() if not embodiments or name in embodiments)


def _generate(step: Any, expected: Expected) -> Cost:
    from generators.simulation.inspection.success_rates import measured_rates
    from generators.simulation.task.registry import find_task

    task = find_task(step.task)
    placements = measured_rates().get(task.name, {})
    known = {**placements.get("D0", {}), **placements.get(step.placement, {})}
    if not known.get("rate") or "steps_an_attempt" not in known:
        expected.open.append(f"generate {task.name}")
        return Cost(items=step.keep, what="trajectories", why="its success was not measured")
    cameras = len(step.cameras or task.cameras) if step.size_px else 0
    frames = int(step.keep * known["steps_an_attempt"] * cameras)
    expected.add(task.embodiment.name, episodes=step.keep, frames=frames)
    pixels = frames * step.size_px**2
    cpu_s = step.keep / known["rate"] * known["cpu_s_an_attempt"] + pixels * PICTURE_CPU_S
    return Cost(items=step.keep, what="trajectories", cpu_s=cpu_s, disk_bytes=pixels * JPEG_BYTES_A_PIXEL)


def _stand_in(step: Any, expected: Expected) -> Cost:
    from workflows.steps.generate import GenerateStep
    from workflows.steps.stand_in import CAMERA

    made = {"task": step.task, "placement": step.placement, "keep": step.count, "size_px": step.size_px}
    return _generate(GenerateStep(**made, cameras=(CAMERA,)), expected)


def _dream(step: Any, expected: Expected) -> Cost:
    count = step.count or sum(expected.episodes.values())
    if step.model != "starter" or not count:
        expected.open.append("dream")
        return Cost(items=count or None, what="clips", why="`pyramid dream --dry-run` says what this model needs")
    frames, side = STARTER_CLIP
    expected.add(step.embodiment or "", episodes=count, frames=count * frames)
    clip_cpu_s = STARTER_CLIP_CPU_S * (step.steps or 16) / 16
    return Cost(
        items=count,
        what="clips",
        cpu_s=count * clip_cpu_s,
        disk_bytes=count * frames * side**2 * JPEG_BYTES_A_PIXEL,
    )


def _label(step: Any, expected: Expected) -> Cost:
    frames = expected.frames_of(step.embodiments)
    if step.kind not in LABEL_CPU_S or step.model not in ("", "starter"):
        return Cost(items=frames, what="camera frames", why="the speed of this model was not measured")
    return Cost(items=frames, what="camera frames", cpu_s=frames * LABEL_CPU_S[step.kind], disk_bytes=frames * 120)


def _judge(step: Any, expected: Expected) -> Cost:
    frames = expected.frames_of(step.embodiments)
    if step.kind != "rules":
        return Cost(items=frames, what="camera frames", why="the speed of this judge was not measured")
    return Cost(items=frames, what="camera frames", cpu_s=frames * RULES_CPU_S, disk_bytes=0.0)


def _fit(step: Any, expected: Expected) -> Cost:
    steps = step.steps or STARTER_POLICY_STEPS
    if step.kind != "groot" or step.preset != "starter":
        return Cost(items=step.steps or None, what="training steps", why="the speed of this model was not measured")
    return Cost(items=steps, what="training steps", cpu_s=steps * STARTER_POLICY_STEP_CPU_S, disk_bytes=60e6)


def _evaluate(step: Any, expected: Expected) -> Cost:
    return Cost(items=step.scenes, what="roll-outs", cpu_s=step.scenes * ROLL_OUT_CPU_S, disk_bytes=step.scenes * 1e6)


def _foreign(step: Any, expected: Expected) -> Cost:
    expected.open.append(step.name)
    return Cost(what="recordings", why="`pyramid data import --dry-run` reads what is there")


def _watch(step: Any, expected: Expected) -> Cost:
    expected.open.append(step.name)
    cpu_s = WATCHED_CPU_S + (step.hands.looks_hz * HAND_LOOK_CPU_S if step.hands.wanted else 0.0)
    return Cost(what="videos", why=f"{cpu_s:.2g} s of one core for a second of video of 640x480 at 30 Hz")


def _with_model(step: Any, expected: Expected) -> Cost:
    if step.model:
        return Cost(why="the speed of this model was not measured")
    return Cost(items=0, what="clips", cpu_s=0.0, disk_bytes=0.0, why="no model is named")


def _quick(step: Any, expected: Expected) -> Cost:
    return Cost(cpu_s=1.0, disk_bytes=0.0)


_COSTS: Mapping[str, Callable[[Any, Expected], Cost]] = {
    "generate": _generate,
    "stand_in": _stand_in,
    "dream": _dream,
    "label": _label,
    "judge": _judge,
    "fit": _fit,
    "evaluate": _evaluate,
    "import": _foreign,
    "watch": _watch,
    "captions": _with_model,
    "boxes": _with_model,
    "near_duplicates": _quick,
    "relabel_report": _quick,
    "select": _quick,
    "statistics": _quick,
    "report": _quick,
}


def costs(steps: Sequence[Step]) -> Iterator[tuple[Step, Cost]]:
    """Each step with what it will cost when nothing of it has been done yet."""
    expected = Expected()
    for step in steps:
        estimate = _COSTS.get(step.kind)
        cost = estimate(step.config, expected) if estimate else Cost(why="nobody measured this step")
        yield step, cost


def estimate_table(steps: Sequence[Step]) -> str:
    """The costs as lines of text, the sum at the end, and what it leaves out."""
    estimates = list(costs(steps))
    names = [f"{number} {step.title}" for number, (step, _) in enumerate(estimates, start=1)]
    parts = [cost for _, cost in estimates]
    left_open = [name for name, cost in zip(names, parts, strict=True) if cost.cpu_s is None]
    together = Cost(
        cpu_s=sum(cost.cpu_s or 0.0 for cost in parts),
        disk_bytes=sum(cost.disk_bytes or 0.0 for cost in parts),
        why=f"and what is open: {', '.join(left_open)}" if left_open else "",
    )
    rows = [*zip(names, parts, strict=True), ("together", together)]
    wide = max(len(name) for name, _ in rows), max(len(_count(cost)) for _, cost in rows)
    lines = [
        f"  {name:<{wide[0]}}  {_count(cost):<{wide[1]}}  {_time(cost.cpu_s):>8}  {_bytes(cost.disk_bytes):>8}"
        f"  {cost.why}".rstrip()
        for name, cost in rows
    ]
    head = "estimate from nothing, CPU time of one core as measured in benchmarks/RESULTS.md:"
    return "\n".join([head, *lines])


def _count(cost: Cost) -> str:
    return f"{cost.items:,} {cost.what}" if cost.items is not None else cost.what


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "open"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bytes(count: float | None) -> str:
    if count is None:
        return "open"
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"
