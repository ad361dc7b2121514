"""Settings of the stages that ask a vision-language model. They load without torch: a driver checks plans with them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from judges.vision_language.limits import Limits
from judges.vision_language.prompt import KINDS, load_prompt
from storage.atomic_files import read_json
from storage.errors import ConfigError, MissingFileError, UnfitModelError, UnknownNameError
from storage.ids import content_id, file_hash

log = logging.getLogger(__name__)
STARTER = "starter"
STARTER_FOLDER = Path(__file__).parents[1] / "starter_judge"


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """An OpenAI-compatible server at `url` (".../v1"); "" asks a model in this process. See
    `judges.vision_language.server_client` for the rest."""

    url: str = ""
    key_variable: str = "OPENAI_API_KEY"
    timeout_s: float = 120.0
    attempts: int = 4
    pause_s: float = 1.0
    parallel: int = 4
    structured: bool = True
    logprobs: bool = False
    served_as: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """`model` is "starter", a folder of weights, or the name of a model on `server`.

    `questions` are kinds of prompts; `prompts` names other prompts for some of them (shipped ones, or YAML files).
    `frames` frames of at most `longest_px` a side are shown. An answer passes at `threshold`, a probability of
    "yes" where the model tells it. An episode that earlier verdicts reject is not asked about (`skip_rejected`), nor
    with `only_missing` one that has this stage's verdicts. `replies` keeps what was said, so that trying a unit again
    asks only what is still open. What a model's card says that it cannot tell is
    not asked unless it is forced (`force`).
    """

    model: str = field(default=STARTER, metadata={"identity": False})
    server: ServerSettings = field(default_factory=ServerSettings, metadata={"identity": False})
    questions: tuple[str, ...] = ("instruction", "physics")
    prompts: Mapping[str, str] = field(default_factory=dict, metadata={"identity": False})
    judge_prefix: str = ""
    threshold: float = 0.5
    frames: int = 8
    longest_px: int = 512
    cameras: tuple[str, ...] = ()
    skip_rejected: bool = True
    only_missing: bool = False
    longest_reply: int = 400
    bf16: bool = False
    force: bool = field(default=False, metadata={"identity": False})
    batch: int = field(default=16, metadata={"identity": False})
    device: str = field(default="auto", metadata={"identity": False})
    replies: str = field(default="@dataset/cache/replies", metadata={"identity": False})

    def __post_init__(self) -> None:
        for kind in (*self.questions, *self.prompts):
            if kind not in KINDS:
                raise UnknownNameError.among("kind of question", kind, KINDS)
        if not self.model or min(self.frames, self.longest_px, self.batch, self.longest_reply) < 1:
            raise ConfigError(f"a judge has a model, and frames, longest_px, batch and longest_reply >= 1; got {self}")
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold is a probability in 0..1; got {self.threshold}")

    def inputs(self) -> Mapping[str, str]:
        """What verdicts depend on besides this config: the model and the prompts."""
        prompts = {f"prompt/{kind}": load_prompt(self.prompt_name(kind)).hash for kind in KINDS}
        if self.server.url:
            return {"model": f"{self.model}@{self.server.url}", **prompts}
        return {"model": weights_hash(self.folder), **prompts}

    @property
    def folder(self) -> Path:
        """Where the weights are."""
        return STARTER_FOLDER if self.model == STARTER else Path(self.model)

    def prompt_name(self, kind: str) -> str:
        """The prompt that asks a kind of question: the given one, or the shipped one in the model's own style."""
        return self.prompts.get(kind) or f"{self._style}{kind}"

    @property
    def _style(self) -> str:
        """A model whose card says that it was trained on short prompts is asked in them, wherever it runs."""
        card = self.folder / "card.json"
        known = self.model == STARTER or (not self.server.url and card.is_file())
        return "short_" if known and read_json(card).get("prompts") == "short" else ""

    def failed_gates(self) -> Mapping[str, Sequence[str]]:
        """By kind of question, the bars that the model's card says it misses; a list there speaks of all kinds."""
        card = self.folder / "card.json"
        failed = {} if self.server.url or not card.is_file() else read_json(card).get("failed_gates", {})
        return dict.fromkeys(KINDS, failed) if isinstance(failed, list) and failed else dict(failed or {})

    @property
    def asked(self) -> tuple[str, ...]:
        """The questions that are asked: those whose bars the model misses are left out, unless it is forced."""
        failed = {} if self.force else self.failed_gates()
        return tuple(kind for kind in self.questions if kind not in failed)

    def check_gates(self) -> None:
        """Raise UnfitModelError for a model that misses the bars of every question, unless it is forced; say which
        questions are left out."""
        asked, gates = self.asked, self.failed_gates()
        failed = {kind: gates[kind] for kind in self.questions if kind not in asked}
        why = "; ".join(f"{kind}: {', '.join(map(str, bars))}" for kind, bars in failed.items())
        if failed and not asked:
            raise UnfitModelError(
                f"{self.folder} fails its own gates ({why}), so it would reject good clips."
                " Take another model, or judge with force: true and measure it first (`pyramid evaluate judge`)"
            )
        if failed:
            log.warning("%s is not asked what it cannot tell (%s); force: true asks it all the same", self.model, why)

    def judge_of(self, kind: str) -> str:
        """The name of the judge that asks a kind of question."""
        return f"{self.judge_prefix}{kind}"


def weights_hash(folder: Path) -> str:
    """What is in a model's folder, as far as its replies depend on it; raises MissingFileError."""
    if not (folder / "config.json").is_file():
        raise MissingFileError(f"{folder} has no config.json; a judge is a folder that `save_pretrained` wrote")
    kinds = (".json", ".safetensors", ".jinja", ".model", ".txt")
    names = sorted(path for path in folder.iterdir() if path.suffix in kinds and path.name != "card.json")
    return content_id({path.name: file_hash(path) for path in names})[:12]


def client_settings(config: ModelConfig) -> dict[str, Any]:
    """The settings of the server's client."""
    server = config.server
    return {each.name: getattr(server, each.name) for each in fields(server)} | {
        "model": config.model,
        "longest_reply": config.longest_reply,
    }
