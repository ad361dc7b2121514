import numpy as np
import pytest

from pipelines.catalog import CATALOG
from pipelines.stages.where import NAMES, known_of
from pipelines.testing.stage_contract import check_row, check_stage
from storage.errors import ConfigError, InputError
from storage.ids import Randomness
from storage.outcomes import Dropped, Kept
from storage.testing import tiny_episode

ROW = CATALOG["where"]


def test_it_keeps_its_contract_and_parts_the_episodes_by_the_condition() -> None:
    check_row("where", ROW)
    episodes = [tiny_episode(seed, length=length) for seed, length in enumerate((4, 9, 12))]
    outcomes = check_stage(ROW, {"condition": "length > 8 and 'front' in cameras"}, episodes)
    assert [isinstance(found, Kept) for (found,) in outcomes] == [False, True, True]
    ((dropped,), _, _) = outcomes
    assert isinstance(dropped, Dropped)
    assert dropped.reason == "not where length > 8 and 'front' in cameras"


def test_every_name_that_a_condition_may_use_has_a_value() -> None:
    assert set(known_of(tiny_episode(0))) == set(NAMES)


def test_scores_are_those_of_the_verdicts() -> None:
    judged = tiny_episode(0).adding(verdicts=({"judge": "sharp", "score": 0.7},))
    where = ROW.make({"condition": "scores['sharp'] > 0.5"})
    assert [isinstance(found, Kept) for (found,) in where([judged, tiny_episode(1)], Randomness(0, "where"))] == [
        True,
        False,
    ]


def test_a_mistyped_condition_is_refused_when_the_job_is_planned() -> None:
    with pytest.raises(ConfigError, match="did you mean layer"):
        ROW.make_config({"condition": "layr == 'real'"})


def test_kinds_that_do_not_go_together_say_which_episode() -> None:
    episode = tiny_episode(3)
    assert np.isfinite(episode.rate_hz)
    with pytest.raises(InputError, match=rf"cannot be asked of {episode.episode_id}"):
        ROW.make({"condition": "layer > 3"})([episode], Randomness(0, "where"))
