"""Conditions: they mean what Python means by them, and nothing else can be said in them."""

import pytest

from pipelines.stages.expression import parse_condition, value_of
from storage.errors import ConfigError

NAMES = {"layer": "neural", "length": 50, "rate": 12.5, "cameras": ["front", "wrist"], "scores": {"sharp": 0.4}}


@pytest.mark.parametrize(
    "text",
    [
        "layer == 'neural' and length > 40",
        "not (length < 10 or rate >= 20)",
        "'wrist' in cameras and 'left' not in cameras",
        "10 < length <= 50",
        "length / rate - 1 > 2.5 * 1 + -3",
        "scores['sharp'] < 0.5",
        "layer in ['real', 'neural']",
        "cameras == ['front', 'wrist']",
        "length",
    ],
)
def test_a_condition_means_what_it_means_in_python(text: str) -> None:
    assert value_of(parse_condition(text, NAMES), NAMES) == eval(text, {}, dict(NAMES))


def test_a_judge_that_said_nothing_neither_passes_nor_fails() -> None:
    for text in ("scores['blur'] < 1", "scores['blur'] >= 1", "scores['blur'] + 1 > 0"):
        assert value_of(parse_condition(text, NAMES), NAMES) is False
    assert value_of(parse_condition("scores['blur'] == 1", NAMES), NAMES) is False


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "layer.__class__",
        "[each for each in cameras]",
        "(lambda: 1)()",
        "length ** 99999",
        "f'{layer}'",
        "length if rate else 0",
        "length >",
        "a" * 3000,
        "(" * 500 + ")" * 500,
    ],
)
def test_what_is_no_condition_is_refused_before_anything_is_asked(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_condition(text, {*NAMES, "a" * 3000})


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean length"):
        parse_condition("lenght > 4", NAMES)
