"""The stage `caption`: clips that nobody narrated get an instruction that says what they show.

As in GR00T N1 (arXiv 2503.14734, section 2.2) 16 frames of a clip at 256 px go to a vision-language model that says
what is completed in them. A clip that has an instruction keeps it and is left alone. Nothing checks the caption here:
the judges of `vision_language` do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from judges.vision_language.asking import Interviewer
from judges.vision_language.client import Client
from judges.vision_language.config import ModelConfig
from judges.vision_language.judge import UNJUDGED
from storage.episode import Episode
from storage.errors import ConfigError, InputError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept, Outcome

NOTHING = "nothing is completed"
HAS_ONE = "has an instruction"


@dataclass(frozen=True, kw_only=True)
class CaptionConfig:
    """`model` is asked about `frames` frames of at most `longest_px` a side, by the shipped prompt `human_caption`
    unless its `prompts` name another one."""

    model: ModelConfig = field(default_factory=ModelConfig)
    frames: int = 16
    longest_px: int = 256
    replies: str = field(default="@dataset/cache/replies", metadata={"identity": False})

    def __post_init__(self) -> None:
        if min(self.frames, self.longest_px) < 1:
            raise ConfigError(f"caption has frames and longest_px above 0; got {self.frames} and {self.longest_px}")

    @property
    def asking(self) -> ModelConfig:
        """The model's settings with the prompt for videos of people."""
        style = self.model.prompt_name("caption")
        prompts = {"caption": "human_caption" if style == "caption" else style, **self.model.prompts}
        return replace(self.model, replies=self.replies, prompts=prompts)

    def inputs(self) -> Mapping[str, str]:
        """What captions depend on besides this config."""
        return self.asking.inputs()


class Caption:
    """The stage; `client` replaces the model of the config."""

    def __init__(self, config: CaptionConfig, client: Client | None = None) -> None:
        self.config = config
        self._writer = Interviewer(config.asking, client)

    def close(self) -> None:
        """Let go of the model."""
        self._writer.client.close()

    def __call__(self, episodes: Sequence[Episode], randomness: Randomness) -> list[list[Outcome]]:
        outcomes: dict[str, Outcome] = {}
        questions = []
        for episode in episodes:
            if episode.instruction:
                outcomes[episode.episode_id] = Dropped(episode_id=episode.episode_id, reason=HAS_ONE)
                continue
            try:
                questions.append(self._writer.asked(episode, "caption", frames=self.config.frames))
            except InputError as error:
                detail = {"message": str(error)}
                outcomes[episode.episode_id] = Dropped(
                    episode_id=episode.episode_id, reason="cannot be judged", detail=detail
                )
        told = self._writer.tell(questions, longest_px=self.config.longest_px)
        for asked, one in zip(questions, told, strict=True):
            caption = one.reply.caption if one.reply else ""
            outcomes[asked.episode.episode_id] = self._outcome(asked.episode, caption, one.said.text)
        return [[outcomes[episode.episode_id]] for episode in episodes]

    def _outcome(self, episode: Episode, caption: str, said: str) -> Outcome:
        if not caption:
            return Dropped(episode_id=episode.episode_id, reason=UNJUDGED, detail={"said": said[:400]})
        if caption.lower().rstrip(".") == NOTHING:
            return Dropped(episode_id=episode.episode_id, reason=NOTHING)
        about = {"caption": {"text": caption, "model": self._writer.client.model, "origin": "captioner"}}
        return Kept(replace(episode.adding(provenance=about), instruction=caption))
