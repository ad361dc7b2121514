"""What the stage that asks a vision-language model adds to the model itself.

    python -m benchmarks judge_throughput

The same clips are judged by the stage with the shipped starter, the smallest model there will ever be, and with a model
of its classes as large as the smallest that people use (a quarter of a billion numbers, random weights). The bare model
is what `generate` takes inside; choosing, decoding and preparing frames, prompts and replies are what the stage adds.
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks import measure
from judges.vision_language.config import STARTER_FOLDER, ModelConfig
from judges.vision_language.judge import JudgeByModel
from storage.episode import Episode
from storage.ids import Randomness

SEED = 67
BARS = {"large: share of the bare model's clips a second": {"at_least": 0.9}}


def run(quick: bool) -> dict[str, Any]:
    from benchmarks.idm.panda_clips import Clips, generate

    torch.set_num_threads(1)
    episodes = generate(Clips(episodes=4 if quick else 16, seed=SEED))
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        large = make_large(Path(folder))
        for name, model, count, rounds in (("starter", STARTER_FOLDER, len(episodes), 3), ("large", large, 4, 1)):
            figures |= {f"{name}: {what}": value for what, value in timed(model, episodes[:count], rounds).items()}
    measure.print_table(figures, BARS)
    return measure.result(figures, BARS)


def timed(model: Path, episodes: list[Episode], rounds: int) -> dict[str, float]:
    """CPU milliseconds a clip of the stage and of `generate` inside it, and their ratio, medians of `rounds`."""
    config = ModelConfig(
        model=str(model), questions=("instruction",), replies="", force=True, device="cpu", longest_reply=24
    )
    judge = JudgeByModel(config)
    network: Any = judge.interviewer.client.network  # type: ignore[attr-defined]
    inside, generate = [0.0], network.generate

    def watched(**inputs: Any) -> Any:
        began = time.process_time()
        made = generate(**inputs)
        inside[0] += time.process_time() - began
        return made

    network.generate = watched
    whole, bare = [], []
    for _ in range(rounds + 1):
        inside[0], began = 0.0, time.process_time()
        judge(episodes, Randomness(0, "judge_model"))
        whole.append(time.process_time() - began)
        bare.append(inside[0])
    return {
        "stage, CPU ms a clip": 1e3 * median(whole[1:]) / len(episodes),
        "bare model, CPU ms a clip": 1e3 * median(bare[1:]) / len(episodes),
        "share of the bare model's clips a second": median(b / w for b, w in zip(bare[1:], whole[1:], strict=True)),
    }


def make_large(folder: Path) -> Path:
    """A judge of the starter's classes with random weights: 24 layers, 880 wide, 0.25 billion numbers."""
    from transformers import AutoProcessor, AyaVisionForConditionalGeneration

    shipped = AyaVisionForConditionalGeneration.from_pretrained(STARTER_FOLDER)
    config = shipped.config
    language, vision = config.text_config, config.vision_config
    language.hidden_size, language.num_hidden_layers, language.num_attention_heads = 880, 24, 11
    language.num_key_value_heads, language.head_dim, language.intermediate_size = 11, 80, 2640
    vision.hidden_size, vision.num_hidden_layers, vision.num_attention_heads, vision.intermediate_size = 512, 8, 8, 2048
    AyaVisionForConditionalGeneration(config).save_pretrained(folder)
    AutoProcessor.from_pretrained(STARTER_FOLDER).save_pretrained(folder)
    return folder
