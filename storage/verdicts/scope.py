"""What a judge speaks about: the layers of the pyramid in which it has said something, or was planned to.

A data set joins many sources, and not every judge is asked about each: what watched a film for black frames says
nothing of a simulation. Where it was asked and stays silent, an episode is unjudged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from storage.datasets.manifest import read_manifests
from storage.datasets.plan import plan_files, read_plan
from storage.datasets.unit_paths import Sink, sinks_of
from storage.verdicts.verdicts import judges_in


@dataclass(frozen=True, kw_only=True)
class Scope:
    """`layers` maps a judge to the layers that it speaks about, `layer_of` an episode to its own."""

    layers: Mapping[str, frozenset[str]]
    layer_of: Mapping[str, str]

    def judges_of(self, episode_id: str) -> tuple[str, ...]:
        """The judges that an episode has to pass, by name."""
        layer = self.layer_of.get(episode_id)
        return tuple(judge for judge, layers in sorted(self.layers.items()) if layer in layers)


def scope_of(root: Path) -> Scope:
    """Read from manifests and plans alone; no frame is looked at."""
    layer_of: dict[str, str] = {}
    unit_layers: dict[str, set[str]] = {}
    manifests = {sink: read_manifests(sink) for sink in sinks_of(root)}
    for manifest in manifests[Sink(root)]:
        for record in manifest.episodes:
            layer_of[str(record["episode_id"])] = str(record["layer"])
            unit_layers.setdefault(manifest.unit_id, set()).add(str(record["layer"]))
    planned = _planned(root)
    layers: dict[str, set[str]] = {}
    for sink, of_sink in manifests.items():
        there: dict[str, set[str]] = {}
        for manifest in of_sink:
            for record in manifest.episodes:
                layer = layer_of.get(str(record["episode_id"]))
                for judge in judges_in(record["verdicts"]) if layer else ():
                    there.setdefault(judge, set()).add(str(layer))
        asked = {layer for unit in planned.get(sink.name, ()) for layer in unit_layers.get(unit, ())}
        for judge, spoken in there.items():
            layers.setdefault(judge, set()).update(spoken, asked if sink.is_labels else ())
    return Scope(layers={judge: frozenset(of_judge) for judge, of_judge in layers.items()}, layer_of=layer_of)


def _planned(root: Path) -> dict[str, set[str]]:
    """Sink -> ids of the units that jobs were planned for."""
    layers: dict[str, set[str]] = {}
    for path in plan_files(root):
        for unit in read_plan(path):
            layers.setdefault(unit.sink, set()).add(unit.unit_id)
    return layers
