"""How a LoRA is fitted to clips; loads without torch."""

from dataclasses import dataclass, field

from storage.errors import ConfigError

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
FEED_FORWARD = ("ffn.net.0.proj", "ffn.net.2")
"""Names of Wan's layers in diffusers; attention is called so in other models too."""


@dataclass(frozen=True, kw_only=True)
class VideoFitConfig:
    """Rank 4, alpha 4 and 1e-4 are DreamGen's (arXiv 2505.12705, appendix D). `shift` moves the times that are trained
    on towards much noise (3 for small pictures, 5 for 720p). `clips_per_episode` clips begin evenly over an episode,
    the first at its start. A share of the episodes is held out; every `validate_every` steps their error is measured at
    fixed noise, and `sample_clips` of them are drawn and written as mp4 files."""

    steps: int = 1000
    rank: int = 4
    alpha: float = 4.0
    targets: tuple[str, ...] = ATTENTION + FEED_FORWARD
    learning_rate: float = 1e-4
    batch_size: int = 1
    accumulate: int = 1
    shift: float = 3.0
    clips_per_episode: int = 1
    held_out_share: float = 0.15
    validate_every: int = 200
    sample_clips: int = 2
    save_every: int = 100
    precision: str = "bf16"
    gradient_checkpointing: bool = False
    frames: int = 0
    size_px: tuple[int, int] | None = None
    rate_hz: float = 0.0
    seed: int = 0
    noise_levels: tuple[float, ...] = field(default=(0.25, 0.5, 0.75, 0.95))

    def __post_init__(self) -> None:
        counts = (self.steps, self.rank, self.batch_size, self.accumulate, self.clips_per_episode)
        if min(counts) < 1 or not self.targets or not self.alpha > 0 or not self.shift > 0:
            raise ConfigError(
                "a LoRA fit needs steps, rank, batch_size, accumulate and clips_per_episode of 1 or more, targets, and"
                f" alpha and shift above 0; got {self}"
            )
        if not 0 <= self.held_out_share < 1 or not all(0 < level < 1 for level in self.noise_levels):
            raise ConfigError(f"held_out_share within 0..1 and noise_levels between 0 and 1; got {self}")
