"""Any OpenAI-compatible server (vLLM, `transformers serve`, a vendor), through the official client.

Keys come from the environment alone. A request that fails for reasons of the world (no connection, time-out, 408, 409,
429, 5xx) is tried again with growing pauses; then the reply says what was wrong and the clip stays unjudged. What can
never work (a wrong key, a model that is not there, another model behind the name) raises RefusedError at once.
"""

import base64
import json
import math
import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import openai

from judges.vision_language.client import Question, RefusedError, Said
from judges.vision_language.limits import Limits, Meter
from judges.vision_language.reply import BEFORE_ANSWER
from storage.errors import ConfigError, WorkFailedError
from storage.frames import Image, frame_codec

KEY = "OPENAI_API_KEY"
_PASSING = (
    openai.APIConnectionError,
    openai.APIStatusError,
    openai.APIResponseValidationError,
    json.JSONDecodeError,  # the client lets an answer that is no JSON through as it is
)
"""What may pass: worth another attempt."""


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """`url` ends in /v1. `key_variable` names the environment variable with the key ("" or unset: none is needed).
    `structured` asks the server to keep to the JSON schema (one that cannot is asked again without), `logprobs` for the
    probabilities that the score comes from.
    `served_as` is what the server may call the model in its replies besides `model`."""

    url: str
    model: str
    key_variable: str = KEY
    timeout_s: float = 120.0
    attempts: int = 4
    pause_s: float = 1.0
    parallel: int = 4
    longest_reply: int = 400
    structured: bool = True
    logprobs: bool = False
    served_as: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")) or not self.model:
            raise ConfigError(f"a server has a url such as http://localhost:8000/v1 and a model; got {self}")
        if min(self.timeout_s, self.attempts, self.parallel, self.longest_reply) <= 0 or self.pause_s < 0:
            raise ConfigError(f"timeout_s, attempts, parallel and longest_reply are above 0; got {self}")


class ServerClient:
    """Asks a server, `parallel` questions at a time."""

    def __init__(self, config: ServerConfig, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.config, self.model = config, f"{config.model}@{config.url}"
        key = os.environ.get(config.key_variable, "") if config.key_variable else ""
        self._client = openai.OpenAI(
            base_url=config.url, api_key=key or "none", timeout=config.timeout_s, max_retries=0
        )
        self._meter, self._sleep = Meter(config.limits), sleep
        self._structured = config.structured

    def ask(self, questions: Sequence[Question]) -> list[Said]:
        """One request a question. A question without a reply has an `error`; raises RefusedError."""
        with ThreadPoolExecutor(max_workers=self.config.parallel) as pool:
            return list(pool.map(self._one, questions))

    def _one(self, question: Question) -> Said:
        pause_s, last = self.config.pause_s, ""
        for attempt in range(self.config.attempts):
            try:
                self._meter.before()
                return self._said(self._request(question))
            except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
                raise RefusedError(
                    f"{self.config.url} refuses model {self.config.model!r}: {error}; the key is taken from the"
                    f" environment variable {self.config.key_variable or '(none)'}"
                ) from error
            except openai.BadRequestError as error:
                if not self._structured:
                    raise RefusedError(f"{self.config.url} refuses the request: {error}") from error
                self._structured = False  # a server that knows no schemas: the reply is read as strictly
            except _PASSING as error:
                last = f"{type(error).__name__} {error}"
                if attempt + 1 < self.config.attempts:
                    self._sleep(_wait_of(error, pause_s))
                    pause_s *= 2
            except WorkFailedError as error:  # a limit of ours is reached
                return Said(text="", error=str(error))
        return Said(text="", error=f"{self.config.url} gave no reply in {self.config.attempts} attempts: {last}")

    def _request(self, question: Question) -> Any:
        content = [*({"type": "image_url", "image_url": {"url": _data_url(each)}} for each in question.pictures)]
        asked: dict[str, Any] = {
            "model": self.config.model,
            "messages": [{"role": "user", "content": [*content, {"type": "text", "text": question.text}]}],
            "temperature": 0.0,
            "max_tokens": self.config.longest_reply,
        }
        if self._structured:
            schema = {"name": "reply", "schema": dict(question.schema)}
            asked["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self.config.logprobs:
            asked |= {"logprobs": True, "top_logprobs": 10}
        return self._client.chat.completions.create(**asked)

    def _said(self, reply: Any) -> Said:
        named = str(getattr(reply, "model", "") or "")
        known = {self.config.model, *self.config.served_as}
        if named and named not in known and named.split("@")[0] not in known:
            raise RefusedError(
                f"{self.config.url} was asked for model {self.config.model!r} and answers as {named!r}; its verdicts"
                " would be another model's. Name that model, or list it in served_as"
            )
        used = getattr(reply, "usage", None)
        tokens = int(getattr(used, "total_tokens", 0) or 0)
        self._meter.after(tokens)
        choices = getattr(reply, "choices", None) or []
        text = (choices[0].message.content or "") if choices and choices[0].message else ""
        return Said(text=text, yes=_yes_of(choices[0]) if choices else None, tokens=tokens)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _wait_of(error: Exception, pause_s: float) -> float:
    """Seconds until the next attempt: what the server asks for (at most a minute), or the pause with some play."""
    response = getattr(error, "response", None)
    asked = response.headers.get("retry-after", "") if response is not None else ""
    try:
        return min(max(0.0, float(asked)), 60.0)
    except ValueError:
        return pause_s * random.uniform(0.5, 1.5)


def _data_url(picture: Image) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(frame_codec("jpeg").encode(picture)).decode()


def _yes_of(choice: Any) -> float | None:
    """The probability of "yes" against "no" at the answer, where the server tells its probabilities."""
    told, before = getattr(getattr(choice, "logprobs", None), "content", None) or [], ""
    for token in told:
        if BEFORE_ANSWER.search(before):
            chances = {"yes": 0.0, "no": 0.0}
            for other in token.top_logprobs:
                word = other.token.strip(' "').lower()
                if word in chances:
                    chances[word] += math.exp(other.logprob)
            total = sum(chances.values())
            return chances["yes"] / total if total > 1e-6 else None
        before += token.token
    return None
