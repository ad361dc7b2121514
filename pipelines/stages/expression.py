"""Conditions that people write, such as `layer == 'neural' and length > 40`: read once, checked, and never executed as
code. Names, numbers, texts, lists, comparisons, `in`, `and`, `or`, `not`, `+ - * /` and `name['key']`; nothing else."""

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from storage.errors import ConfigError, UnknownNameError

_LONGEST = 2000
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, other: one in other,
    ast.NotIn: lambda one, other: one not in other,
}


def parse_condition(text: str, names: Iterable[str]) -> ast.expr:
    """The condition in `text` over `names`. Raises ConfigError for what is no condition, and for unknown names with the
    nearest known one."""
    try:
        if len(text) > _LONGEST:
            raise ValueError(f"{len(text)} characters, at most {_LONGEST}")
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{text!r} is no condition: {error}; write, say, layer == 'neural' and length > 40") from None
    known = set(names)
    for node in ast.walk(body):
        _check(node, text, known)
    return body


def _check(node: ast.AST, text: str, known: set[str]) -> None:
    if isinstance(node, ast.Name) and node.id not in known:
        raise ConfigError(str(UnknownNameError.among(f"name in the condition {text!r}", node.id, known)))
    plain = (ast.Name, ast.Constant, ast.List, ast.Tuple, ast.Compare, ast.BoolOp, ast.And, ast.Or, ast.Load)
    if isinstance(node, (*plain, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Subscript)):
        return
    if type(node) not in _BINARY and type(node) not in _COMPARE:
        raise ConfigError(f"{text!r}: a condition compares names and values; {type(node).__name__} has no place in it")


def value_of(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """What a checked condition comes to, with `names` filled in. Comparing or reckoning with a value that is not there
    (None, such as the score of a judge that said nothing) is False or None; raises TypeError for kinds that do not go
    together, such as a text and a number."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return names[node.id]
        case ast.List() | ast.Tuple():
            return [value_of(each, names) for each in node.elts]
        case ast.Subscript():
            held, key = value_of(node.value, names), value_of(node.slice, names)
            return held.get(key) if isinstance(held, Mapping) else held[key]
        case ast.UnaryOp():
            held = value_of(node.operand, names)
            return not held if isinstance(node.op, ast.Not) else -held
        case ast.BoolOp():
            values = (value_of(each, names) for each in node.values)
            return all(values) if isinstance(node.op, ast.And) else any(values)
        case ast.BinOp():
            one, other = value_of(node.left, names), value_of(node.right, names)
            return None if one is None or other is None else _BINARY[type(node.op)](one, other)
        case ast.Compare():
            return _compared(node, names)
    raise AssertionError(f"{type(node).__name__} was let through")


def _compared(node: ast.Compare, names: Mapping[str, Any]) -> bool:
    sides = [value_of(each, names) for each in (node.left, *node.comparators)]
    pairs = zip(node.ops, sides, sides[1:], strict=False)
    return all(_holds(type(kind), one, other) for kind, one, other in pairs)


def _holds(kind: type, one: Any, other: Any) -> bool:
    ordered = kind in (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
    return False if ordered and (one is None or other is None) else bool(_COMPARE[kind](one, other))
