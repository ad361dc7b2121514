"""Every generator that an environment may draw from, made to follow from a seed.

robosuite's classes draw from `env.rng` and from the generators of their placement samplers. Other people's classes keep
generators of their own, on the environment or on its objects, make unseeded ones, or draw from the global ones of
NumPy and Python.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import ModuleType
from typing import Any

import numpy as np

HIDDEN_STREAM = 11
_DEEPEST = 3
_MOST_OBJECTS = 20_000
_KINDS = (np.random.Generator, np.random.RandomState, random.Random)


def is_foreign(environment: Any) -> bool:
    """Whether an environment's class is somebody else's: robosuite's and ours keep no generators beside the known."""
    return type(environment).__module__.partition(".")[0] not in ("robosuite", "generators")


@contextmanager
def seeded_defaults(seed: int) -> Iterator[None]:
    """While this is open, `np.random.default_rng()` without a seed gives generators that follow from `seed`; the
    global generators of NumPy and Python are seeded when it opens."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    original: Any = np.random.default_rng
    number = count()

    def default_rng(seed_given: Any = None) -> np.random.Generator:
        made: np.random.Generator = original([seed, next(number)] if seed_given is None else seed_given)
        return made

    numpy_random: Any = np.random
    numpy_random.default_rng = default_rng
    try:
        yield
    finally:
        numpy_random.default_rng = original


def reseed(environment: Any, randomness: np.random.Generator) -> None:
    """Seed, in place, robosuite's own generators: `env.rng` and those of the placement samplers."""
    np.random.seed(int(randomness.integers(2**32)))  # foreign code may draw from NumPy's global generator
    seen: set[int] = set()
    for generator in (getattr(environment, "rng", None), *_sampler_generators(environment)):
        if isinstance(generator, np.random.Generator) and id(generator) not in seen:
            seen.add(id(generator))
            fresh = np.random.default_rng(int(randomness.integers(2**63)))
            generator.bit_generator.state = fresh.bit_generator.state


def reseed_hidden(environment: Any, seed: int) -> None:
    """Seed, in place, every other generator that the environment or an object of it keeps, and Python's global one."""
    own = {id(one) for one in (getattr(environment, "rng", None), *_sampler_generators(environment))}
    stream = np.random.default_rng([seed, HIDDEN_STREAM])
    random.seed(int(stream.integers(2**63)))
    for generator in hidden_generators(environment):
        if id(generator) in own:
            continue
        fresh = int(stream.integers(2**63))
        if isinstance(generator, np.random.Generator):
            generator.bit_generator.state = type(generator.bit_generator)(fresh).state
        else:
            generator.seed(fresh % 2**32)


def hidden_generators(environment: Any) -> list[Any]:
    """Generators kept on the environment, its attributes, and theirs, in the order in which they were set."""
    generators: list[Any] = []
    seen, queue = {id(environment)}, [(environment, 0)]
    while queue and len(seen) < _MOST_OBJECTS:
        holder, depth = queue.pop(0)
        for value in _parts(holder):
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, _KINDS):
                generators.append(value)
            elif depth < _DEEPEST:
                queue.append((value, depth + 1))
    return generators


def _parts(holder: Any) -> list[Any]:
    if isinstance(holder, type | ModuleType | np.ndarray | str | bytes) or callable(holder):
        return []
    if isinstance(holder, dict):
        return list(holder.values())
    if isinstance(holder, list | tuple):
        return list(holder)
    return list(getattr(holder, "__dict__", {}).values())


def _sampler_generators(environment: Any) -> list[Any]:
    generators, queue = [], [getattr(environment, "placement_initializer", None)]
    while queue:
        sampler = queue.pop(0)
        generators.append(getattr(sampler, "rng", None))
        nested = getattr(sampler, "samplers", None) or {}
        queue += list(nested.values())
    return generators
