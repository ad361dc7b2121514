"""Prompts: versioned files whose hash is in every verdict.

`prompts/<name>.yaml` holds kind, version, schema and text; `prompts/short_<name>.yaml` is the same question in the few
words of a model that was trained for nothing else (the starter). Instruction and caption are data: they are put in
quoted, in one line, and bounded in length.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from storage.errors import ConfigError, MissingFileError
from storage.ids import content_id

FOLDER = Path(__file__).with_name("prompts")
KINDS = ("instruction", "physics", "caption", "again")
LONGEST_TEXT = 300
"""Characters of an instruction that are shown to a model; longer ones end in an ellipsis."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One question: its `kind`, its `text`, and the `schema` of its reply (see `judges.vision_language.reply`)."""

    name: str
    kind: str
    version: int
    schema: str
    text: str

    @property
    def hash(self) -> str:
        """Equal prompts have equal ones."""
        return content_id(self.kind, self.version, self.schema, self.text)[:16]

    def about(self, *, count: int, instruction: str = "") -> str:
        """The question about a clip of `count` frames."""
        return self.text.format(count=count, instruction=quoted(instruction))


def quoted(text: str) -> str:
    """`text` as data in a prompt: one line, bounded, without control characters, in quotation marks that it cannot
    close."""
    plain = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text)
    plain = re.sub(" +", " ", plain).strip()
    if len(plain) > LONGEST_TEXT:
        plain = plain[: LONGEST_TEXT - 1] + "…"
    return json.dumps(plain, ensure_ascii=False)


@cache
def load_prompt(name: str) -> Prompt:
    """A shipped prompt by its name, or a YAML file; raises MissingFileError or ConfigError."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in FOLDER.glob("*.yaml")))
        raise MissingFileError(f"no prompt {name!r}: {path} is not there; the shipped prompts are {known}")
    try:
        prompt = Prompt(name=path.stem, **yaml.safe_load(path.read_text()))
        prompt.about(count=8, instruction="x")
    except (TypeError, KeyError, IndexError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path} must hold kind, version, schema and text, with {{count}} and {{instruction}} as its only braces"
            f" ({error})"
        ) from error
    if prompt.kind not in KINDS or prompt.schema not in ("verdict", "caption"):
        raise ConfigError(f"{path}: kind is one of {', '.join(KINDS)} and schema verdict or caption; got {prompt}")
    return prompt
