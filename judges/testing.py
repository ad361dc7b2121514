"""For tests, of this project and of whoever writes a client: a model that says what it is told to."""

import json
from collections.abc import Callable, Sequence

from judges.vision_language.client import Question, Said


class SayingClient:
    """A client whose replies a function decides; it remembers what it was asked."""

    def __init__(self, says: Callable[[Question], Said | str], model: str = "saying") -> None:
        self.model, self._says = model, says
        self.asked: list[Question] = []

    def ask(self, questions: Sequence[Question]) -> list[Said]:
        """One reply a question, in order."""
        self.asked += questions
        replies = [self._says(question) for question in questions]
        return [reply if isinstance(reply, Said) else Said(text=reply) for reply in replies]

    def close(self) -> None:
        """Nothing is held open."""


def verdict_text(answer: str, reason: str = "") -> str:
    """A reply to a question for a verdict."""
    return json.dumps({"answer": answer, "reason": reason})
