"""Proposing instructions for a first frame: GR00T N1 (arXiv 2503.14734), section 2.2.

A model lists the objects, "pick up {object} from {A} to {B}" is enumerated, and only what is feasible stays. The
enumeration needs no model. Whatever a language model says differently is checked against the scene: small ones change
the object ("red cup" becomes "red mug"), and such a proposal is refused.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from generators.neural.prompts.scene import Scene, Thing
from storage.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One instruction, what it speaks of, and where it comes from ("template", "language model")."""

    prompt: str
    verb: str
    thing: str
    place: str = ""
    origin: str = "template"


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A proposal that breaks a rule."""

    prompt: str
    reason: str


TEMPLATES: Mapping[str, str] = {
    "lift": "lift the {thing}",
    "stack": "stack the {thing} on the {place}",
    "pick up": "pick up {thing} from {source} to {place}",
}
"""Verb -> sentence. One with {place} is said of every other thing, one with {source} of pairs of places."""


def enumerate_proposals(scene: Scene, templates: Mapping[str, str] = TEMPLATES) -> list[Proposal]:
    """Every sentence that is feasible in the scene, in a fixed order."""
    proposals: list[Proposal] = []
    for verb, sentence in templates.items():
        fields = set(re.findall(r"{(\w+)}", sentence))
        if not fields <= {"thing", "place", "source"} or "thing" not in fields:
            raise ConfigError(f"a template uses {{thing}}, {{place}} and {{source}}; got {sentence!r}")
        places = _places(scene, onto_objects="source" not in fields) if "place" in fields else [None]
        sources = [thing for thing in scene.things if thing.holds] if "source" in fields else [None]
        for thing, source, place in product(scene.things, sources, places):
            if _feasible(scene, thing, source, place):
                words = {"thing": thing.name, "source": source and source.name, "place": place and place.name}
                prompt = sentence.format(**words)
                proposals.append(
                    Proposal(prompt=prompt, verb=verb, thing=thing.name, place=place.name if place else "")
                )
    return proposals


def _places(scene: Scene, *, onto_objects: bool) -> list[Thing | None]:
    return [thing for thing in scene.things if onto_objects or thing.holds]


def _feasible(scene: Scene, thing: Thing, source: Thing | None, place: Thing | None) -> bool:
    named = [one for one in (thing, source, place) if one is not None]
    different = len({one.name for one in named}) == len(named)
    return thing.movable and different and all(scene.reaches(one) for one in named)


def checked(prompt: str, scene: Scene, *, expected: Proposal | None = None) -> Proposal | Refused:
    """A sentence that a language model wrote, as a proposal, or why it is refused.

    It must name a movable thing of the scene within reach and nothing of the scene twice; with `expected` (what it was
    asked to say differently) it must speak of the same thing and place.
    """
    text = " ".join(prompt.lower().replace(".", " ").split())
    named = sorted((text.find(thing.name), thing) for thing in scene.things if _mentions(text, thing.name))
    things = [thing for _, thing in sorted(named, key=lambda pair: pair[0])]
    if not text or not things:
        return Refused(prompt=prompt, reason="names nothing that is in the picture")
    if expected is not None and [thing.name for thing in things] != [n for n in (expected.thing, expected.place) if n]:
        return Refused(prompt=prompt, reason="changes the object or the place")
    if not things[0].movable:
        return Refused(prompt=prompt, reason=f"{things[0].name} cannot be moved")
    if not all(scene.reaches(thing) for thing in things):
        return Refused(prompt=prompt, reason="names something out of reach")
    verb = text.split(things[0].name)[0].removesuffix("the ").strip()
    if not verb:
        return Refused(prompt=prompt, reason="has no verb")
    place = things[-1].name if len(things) > 1 else ""
    return Proposal(prompt=text, verb=verb, thing=things[0].name, place=place, origin="language model")


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def balanced(proposals: Iterable[Proposal], count: int) -> list[Proposal]:
    """`count` different proposals (all with 0), spread over verbs, things and places: the next one is always one whose
    verb, thing and place were used least so far."""
    rest = list({proposal.prompt: proposal for proposal in proposals}.values())
    used: Counter[Any] = Counter()
    chosen: list[Proposal] = []
    while rest and (not count or len(chosen) < count):
        best = min(rest, key=lambda one: sum(used[part] for part in _parts(one)))
        rest.remove(best)
        chosen.append(best)
        used.update(_parts(best))
    return chosen


def _parts(proposal: Proposal) -> Sequence[tuple[str, str]]:
    parts = (("verb", proposal.verb), ("thing", proposal.thing), ("place", proposal.place))
    return [part for part in parts if part[1]]
