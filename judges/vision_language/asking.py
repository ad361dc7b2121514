"""Asking a model about clips: in batches, with what was said before kept, and never taking silence for an answer."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from judges.rules.clip import camera_of
from judges.vision_language.client import Client, Question, Said
from judges.vision_language.config import ModelConfig, client_settings
from judges.vision_language.frames import chosen_frames, pictures_of
from judges.vision_language.prompt import KINDS, Prompt, load_prompt
from judges.vision_language.reply import SCHEMAS, Reply, UnreadableReplyError, read_reply
from storage.atomic_files import json_bytes, read_json, write_whole
from storage.episode import Episode
from storage.errors import CorruptFileError, MissingFileError, WorldError
from storage.ids import content_id

log = logging.getLogger(__name__)
ONCE_MORE = " Reply with the JSON object alone."


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question about one episode: which frames (`numbers`) of which camera, and what about."""

    episode: Episode
    prompt: Prompt
    camera: str
    numbers: tuple[int, ...]
    instruction: str = ""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What came of a question: a reply, or None where the model answered twice and could not be read."""

    reply: Reply | None
    said: Said


def make_client(config: ModelConfig) -> Client:
    """The model of a config, ready to be asked."""
    if config.server.url:
        from judges.vision_language.server_client import ServerClient, ServerConfig

        return ServerClient(ServerConfig(**client_settings(config)))
    from judges.vision_language.transformers_client import TransformersClient

    return TransformersClient(
        str(config.folder), device=config.device, bf16=config.bf16, longest_reply=config.longest_reply
    )


class Interviewer:
    """Asks one model, keeps its replies on the disk, and asks once more what it cannot read."""

    def __init__(self, config: ModelConfig, client: Client | None = None) -> None:
        self.config = config
        if client is None:
            config.check_gates()
        self.client = client or make_client(config)
        self._prompts = {kind: load_prompt(config.prompt_name(kind)) for kind in KINDS}
        self._replies = Path(config.replies) if config.replies and not config.replies.startswith("@") else None

    def asked(self, episode: Episode, kind: str, *, instruction: str = "", frames: int = 0) -> Asked:
        """A question of a kind about an episode; raises InputError without a camera that is wanted."""
        camera = camera_of(episode, self.config.cameras)
        numbers = chosen_frames(episode.cameras[camera], frames or self.config.frames)
        return Asked(
            episode=episode, prompt=self._prompts[kind], camera=camera, numbers=tuple(numbers), instruction=instruction
        )

    def tell(self, questions: Sequence[Asked], *, longest_px: int = 0) -> list[Told]:
        """What the model says to each question. Raises WorldError, after keeping every reply that came, where some of
        the questions got none."""
        size = longest_px or self.config.longest_px
        kept = [self._kept(each, size) for each in questions]
        open_places = [place for place, told in enumerate(kept) if told is None]
        errors: list[str] = []
        for begin in range(0, len(open_places), self.config.batch):
            places = open_places[begin : begin + self.config.batch]
            told = self._batch([questions[place] for place in places], size)
            for place, one in zip(places, told, strict=True):
                kept[place] = one
                if one.said.error:
                    errors.append(one.said.error)
                elif one.reply is not None:
                    self._keep(questions[place], size, one.said)
            if errors:
                break
        if errors:
            silent = sum(told is None or bool(told.said.error) for told in kept)
            raise WorldError(
                f"{silent} of {len(questions)} questions got no reply ({errors[0]}); these clips are unjudged, neither"
                " passed nor rejected: `pyramid resume` asks again, and only what is open"
            )
        return [told for told in kept if told is not None]

    def _batch(self, questions: Sequence[Asked], size: int) -> list[Told]:
        asked = [self._question(each, size) for each in questions]
        told = [_read(said, each.prompt.schema) for said, each in zip(self.client.ask(asked), questions, strict=True)]
        again = [place for place, one in enumerate(told) if one.reply is None and not one.said.error]
        if again:
            retold = self.client.ask([replace(asked[place], text=asked[place].text + ONCE_MORE) for place in again])
            for place, said in zip(again, retold, strict=True):
                told[place] = _read(said, questions[place].prompt.schema)
        return told

    def _question(self, asked: Asked, size: int) -> Question:
        pictures = pictures_of(asked.episode.cameras[asked.camera], asked.numbers, size)
        text = asked.prompt.about(count=len(pictures), instruction=asked.instruction)
        return Question(pictures=pictures, text=text, schema=SCHEMAS[asked.prompt.schema])

    def _file(self, asked: Asked, size: int) -> Path | None:
        if self._replies is None:
            return None
        about = (asked.episode.episode_id, asked.camera, asked.numbers, asked.instruction)
        key = content_id(self.client.model, asked.prompt.hash, size, *about)
        return self._replies / key[:2] / f"{key}.json"

    def _kept(self, asked: Asked, size: int) -> Told | None:
        path = self._file(asked, size)
        try:
            if path is None:
                return None
            record = read_json(path)
            return _read(Said(text=record["text"], yes=record["yes"]), asked.prompt.schema)
        except (MissingFileError, CorruptFileError, KeyError):
            return None

    def _keep(self, asked: Asked, size: int, said: Said) -> None:
        if path := self._file(asked, size):
            write_whole(path, json_bytes({"text": said.text, "yes": said.yes, "model": self.client.model}))


def _read(said: Said, schema: str) -> Told:
    try:
        return Told(reply=None if said.error else read_reply(said.text, schema), said=said)
    except UnreadableReplyError as error:
        log.info("%s", error)
        return Told(reply=None, said=said)
