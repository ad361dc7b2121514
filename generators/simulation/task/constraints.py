"""The order in which subtasks of several arms may run, checked before anything runs.

Subtasks are nodes: each waits for the one before it on its arm, the latter of a sequential constraint waits for the
former, and coordinated subtasks are one node, because none of them ends before all have begun. A task whose graph has
a cycle would wait for ever. (DexMimicGen, section IV-B; the checks are ours.)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from generators.simulation.task.specification import Coordination, Sequential, Subtask, Task
from storage.errors import ConfigError, UnknownNameError

Node = tuple[str, int]
"""An arm and the number of one of its subtasks."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """A node may not begin before `former` has at most `steps_left` to go."""

    former: Node
    steps_left: int


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The checked constraints of a task. `groups` lists nodes, coordinated ones together, in an order in which they can
    run; `waits` lists what each node waits for beside its arm's previous subtask."""

    subtasks: Mapping[str, tuple[Subtask, ...]]
    groups: tuple[tuple[Node, ...], ...]
    coordinations: Mapping[Node, Coordination]
    waits: Mapping[Node, tuple[Wait, ...]]

    @cached_property
    def _group_of(self) -> dict[Node, tuple[Node, ...]]:
        return {node: group for group in self.groups for node in group}

    def group(self, node: Node) -> tuple[Node, ...]:
        """The nodes that run together with `node`, itself included."""
        return self._group_of[node]

    def subtask(self, node: Node) -> Subtask:
        return self.subtasks[node[0]][node[1]]

    def name(self, node: Node) -> str:
        """ "arm.subtask" """
        return f"{node[0]}.{self.subtask(node).name}"


def graph_of(task: Task) -> Graph:
    """The constraint graph of a task.

    Raises ConfigError or UnknownNameError naming the offenders: arms without subtasks, subtasks that share a name,
    unknown names, arms coordinated with themselves, subtasks under two coordinations, and cycles.
    """
    nodes = _nodes(task)
    coordinations = _coordinations(task, nodes)
    waits = _waits(task, nodes)
    return Graph(
        subtasks=task.subtasks,
        groups=_ordered(task, nodes, coordinations, waits),
        coordinations=coordinations,
        waits=waits,
    )


def _nodes(task: Task) -> dict[str, Node]:
    """ "arm.subtask" -> its node, for every subtask."""
    if set(task.subtasks) != set(task.embodiment.arm_names):
        raise ConfigError(
            f"task {task.name!r} must give subtasks for the arms {sorted(task.embodiment.arm_names)}; it gives some for"
            f" {sorted(task.subtasks)}"
        )
    nodes: dict[str, Node] = {}
    for arm, subtasks in task.subtasks.items():
        if not subtasks:
            raise ConfigError(f"task {task.name!r}: arm {arm!r} needs at least one subtask")
        for index, subtask in enumerate(subtasks):
            name = f"{arm}.{subtask.name}"
            if name in nodes:
                raise ConfigError(f"task {task.name!r}: two subtasks of arm {arm!r} are called {subtask.name!r}")
            if subtask.termination_signal is None and index + 1 < len(subtasks):
                raise ConfigError(
                    f"task {task.name!r}: {name} needs an termination_signal; only an arm's last subtask may lack one"
                )
            nodes[name] = (arm, index)
    return nodes


def _node(task: Task, nodes: Mapping[str, Node], name: str) -> Node:
    if name not in nodes:
        raise UnknownNameError.among(f"subtask in the constraints of task {task.name!r}", name, nodes)
    return nodes[name]


def _coordinations(task: Task, nodes: Mapping[str, Node]) -> dict[Node, Coordination]:
    coordinations: dict[Node, Coordination] = {}
    for constraint in task.constraints:
        if not isinstance(constraint, Coordination):
            continue
        members = [_node(task, nodes, name) for name in constraint.subtasks]
        if len({arm for arm, _ in members}) != len(members) or len(members) < 2:
            raise ConfigError(f"a coordination takes subtasks of two or more different arms; got {constraint.subtasks}")
        for node, name in zip(members, constraint.subtasks, strict=True):
            if node in coordinations:
                raise ConfigError(
                    f"{name} is under two coordinations, {coordinations[node].subtasks} ({coordinations[node].scheme})"
                    f" and {constraint.subtasks} ({constraint.scheme}); a subtask can follow one"
                )
            coordinations[node] = constraint
        _check_reference(task, members, constraint)
    return coordinations


def _check_reference(task: Task, members: list[Node], constraint: Coordination) -> None:
    references = {task.subtasks[arm][index].reference for arm, index in members}
    if constraint.scheme != "replay" and len(references) > 1:
        raise ConfigError(
            f"coordinated subtasks {constraint.subtasks} share one transform ({constraint.scheme}) and so need one"
            f" reference object; they refer to {sorted(map(str, references))}"
        )


def _waits(task: Task, nodes: Mapping[str, Node]) -> dict[Node, tuple[Wait, ...]]:
    waits: dict[Node, tuple[Wait, ...]] = {}
    for constraint in task.constraints:
        if isinstance(constraint, Sequential):
            former, latter = _node(task, nodes, constraint.former), _node(task, nodes, constraint.latter)
            if constraint.steps_left < 0:
                raise ConfigError(f"{constraint.former} before {constraint.latter}: steps_left must be 0 or more")
            waits[latter] = (*waits.get(latter, ()), Wait(former=former, steps_left=constraint.steps_left))
    return waits


def _ordered(
    task: Task,
    nodes: Mapping[str, Node],
    coordinations: Mapping[Node, Coordination],
    waits: Mapping[Node, tuple[Wait, ...]],
) -> tuple[tuple[Node, ...], ...]:
    """Groups in an order in which they can run; raises ConfigError naming a cycle."""
    names = {node: name for name, node in nodes.items()}
    groups: dict[Node, tuple[Node, ...]] = {}
    for node in names:
        constraint = coordinations.get(node)
        groups[node] = tuple(nodes[name] for name in constraint.subtasks) if constraint else (node,)
    before: dict[tuple[Node, ...], set[tuple[Node, ...]]] = {group: set() for group in groups.values()}
    for (arm, index), group in groups.items():
        if index:
            before[group].add(groups[arm, index - 1])
        before[group].update(groups[wait.former] for wait in waits.get((arm, index), ()))
    for group, formers in before.items():
        if group in formers:
            raise ConfigError(
                f"task {task.name!r}: {_spell(group, names)} would have to run before itself: it is coordinated and"
                " sequential at once"
            )
    try:
        return tuple(TopologicalSorter(before).static_order())
    except CycleError as error:
        cycle = " waits for ".join(_spell(group, names) for group in reversed(error.args[1]))
        raise ConfigError(f"task {task.name!r}: its constraints wait for one another: {cycle}") from None


def _spell(group: tuple[Node, ...], names: Mapping[Node, str]) -> str:
    return "+".join(names[node] for node in group)
