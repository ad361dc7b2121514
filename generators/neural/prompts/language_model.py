"""Instructions from a language model behind an OpenAI-compatible server: other words for what is feasible, checked.

The model is given the proposals that enumeration made and asked to say each in other words; `propose.checked` refuses
what speaks of something else. An answer that cannot be read refuses the batch, it never stops a run.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from generators.neural.prompts.propose import Proposal, Refused, checked
from generators.neural.prompts.scene import Scene
from storage.errors import ConfigError, WorldError

_TASK = (
    "Say each instruction to a robot in other words. Keep every object and place exactly as it is named, and say only"
    ' one short imperative sentence each. Answer as JSON: {"instructions": ["...", ...]}, in the same order.'
)


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """`url` is the server's root, such as http://127.0.0.1:8000; `model` the name that it serves."""

    url: str
    model: str
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")) or not self.model:
            raise ConfigError(f"a language model needs url (http://...) and model; got {self.url!r}, {self.model!r}")

    def rephrased(self, proposals: Sequence[Proposal], scene: Scene) -> tuple[list[Proposal], list[Refused]]:
        """Other words for proposals that name one thing and one place at most, and what was refused.

        Raises WorldError when the server cannot be reached.
        """
        answer = self._answer([proposal.prompt for proposal in proposals])
        if answer is None or len(answer) != len(proposals):
            return [], [Refused(prompt=p.prompt, reason="the server's answer cannot be read") for p in proposals]
        proposed = [checked(text, scene, expected=asked) for text, asked in zip(answer, proposals, strict=True)]
        kept = [one for one in proposed if isinstance(one, Proposal)]
        return kept, [one for one in proposed if isinstance(one, Refused)]

    def _answer(self, prompts: Sequence[str]) -> list[str] | None:
        body = {
            "model": self.model,
            "temperature": 0.7,
            "response_format": {"type": "json_object"},
            "messages": [
                {"role": "system", "content": _TASK},
                {"role": "user", "content": json.dumps({"instructions": list(prompts)})},
            ],
        }
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/v1/chat/completions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as reply:
                record: Any = json.loads(reply.read())
        except (urllib.error.URLError, TimeoutError) as error:
            raise WorldError(f"the language model at {self.url} does not answer: {error}") from error
        except json.JSONDecodeError:
            return None
        return _sentences(record)


def _sentences(record: Any) -> list[str] | None:
    try:
        said = json.loads(record["choices"][0]["message"]["content"])["instructions"]
    except (KeyError, IndexError, TypeError, json.JSONDecodeError):
        return None
    return said if isinstance(said, list) and all(isinstance(one, str) for one in said) else None
