"""Which prompts go with which first frame: the recorded ones, all of them, or what a file says.

A text file holds one prompt a line; "lift the red cube | stack the red cube on the green cube" is two rounds. A YAML
file describes the scene, and prompts are enumerated:

    objects: [red cube, {name: green cube, centre: [0.6, 0.5]}]
    places: [table]
    templates: {lift: "lift the {thing}"}            # those of `propose.TEMPLATES` where left out
    count: 20
    language_model: {url: "http://127.0.0.1:8000", model: some-model}
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from generators.neural.first_frames.reference import FirstFrame
from generators.neural.prompts.language_model import LanguageModel
from generators.neural.prompts.propose import TEMPLATES, balanced, enumerate_proposals
from generators.neural.prompts.scene import Scene
from storage.errors import ConfigError, InputError, MissingFileError

log = logging.getLogger(__name__)
Rounds = tuple[str, ...]
_KEYS = {"objects", "places", "reachable", "templates", "count", "language_model"}


@dataclass(frozen=True, kw_only=True)
class PromptSet:
    """`of` gives the rounds of prompts for a first frame; `origin` says where they come from."""

    of: Callable[[FirstFrame], Sequence[Rounds]]
    origin: str


def prompts_of(source: str, frames: Sequence[FirstFrame]) -> PromptSet:
    """The prompts that `source` ("own", "all" or a file) gives to `frames`."""
    if source == "own":
        without = [frame.episode or frame.image for frame in frames if not frame.instruction]
        if without:
            raise InputError(
                f"{len(without)} first frames have no recorded instruction, the first is {without[0]}; give a file of"
                " prompts with --prompts"
            )
        return PromptSet(of=lambda frame: [(frame.instruction,)], origin="recorded")
    if source == "all":
        every = [(prompt,) for prompt in sorted({frame.instruction for frame in frames} - {""})]
        return PromptSet(of=lambda _: every, origin="recorded, counterfactual")
    path = Path(source)
    if not path.is_file():
        raise MissingFileError(f'prompts are "own", "all" or a file; there is no file {source}')
    rounds = _lines(path) if path.suffix not in (".yaml", ".yml") else _proposed(path)
    return PromptSet(of=lambda _: rounds, origin="file" if path.suffix == ".txt" else "template")


def _lines(path: Path) -> list[Rounds]:
    lines = [tuple(part.strip() for part in line.split("|")) for line in path.read_text().splitlines() if line.strip()]
    if not lines or not all(all(rounds) for rounds in lines):
        raise InputError(f"{path} holds no prompts, or an empty one; expected one a line, rounds separated by |")
    return lines


def _proposed(path: Path) -> list[Rounds]:
    import yaml

    try:
        record = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(record, dict) or not record.keys() <= _KEYS:
        raise ConfigError(f"{path} describes a scene by {', '.join(sorted(_KEYS))}; got {record!r:.100}")
    scene = Scene.from_json({key: record[key] for key in ("objects", "places", "reachable") if key in record})
    proposals = balanced(enumerate_proposals(scene, record.get("templates", TEMPLATES)), int(record.get("count", 0)))
    if not proposals:
        raise InputError(f"nothing is feasible in the scene of {path}: no movable object is within reach")
    if "language_model" in record:
        said, refused = LanguageModel(**record["language_model"]).rephrased(proposals, scene)
        for one in refused:
            log.warning("refused %r: %s", one.prompt, one.reason)
        proposals = balanced([*said, *proposals], len(proposals))
    return [(proposal.prompt,) for proposal in proposals]
