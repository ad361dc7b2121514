"""What a model is to a judge: questions in, texts out. One model of transformers in this process, or a server.

TransformersClient    judges/vision_language/transformers_client.py    a folder with weights
ServerClient          judges/vision_language/server_client.py          any OpenAI-compatible server
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from storage.errors import WorldError
from storage.frames import Image


class RefusedError(WorldError):
    """A model that will not be asked like this: a wrong key, an unknown name, another model behind the name. Not an
    error of the clip's, so that no clip is lost to it."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked about some frames (H, W, 3), in order. `schema` is the JSON schema that a reply keeps to."""

    pictures: Sequence[Image]
    text: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a model said. `yes` is its probability of "yes" against "no" at the answer, None where it does not tell;
    `tokens` is what the question and the reply cost. With an `error` nothing was said: the model could not be asked."""

    text: str
    yes: float | None = None
    tokens: int = 0
    error: str = ""


class Client(Protocol):
    """A model that is asked. `model` says which one it is, in a way that changes when its weights do.

    `ask` gives one reply for each question, in order; raises RefusedError where asking can never work.
    """

    model: str

    def ask(self, questions: Sequence[Question]) -> list[Said]: ...

    def close(self) -> None: ...
