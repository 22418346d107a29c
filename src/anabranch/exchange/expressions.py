"""Nodes of an fx graph as Python expressions that need torch alone."""

from __future__ import annotations

import builtins
import inspect
import math
import operator
import types
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch.fx import Node

from anabranch._asked import name_of as asked_name

INFIX: dict[Any, tuple[str, int]] = {  # sign, and how strongly it binds
    operator.or_: ("|", 2), operator.xor: ("^", 3), operator.and_: ("&", 4),
    operator.eq: ("==", 1), operator.ne: ("!=", 1), operator.lt: ("<", 1), operator.le: ("<=", 1), operator.gt: (">", 1),
    operator.ge: (">=", 1), operator.lshift: ("<<", 5), operator.rshift: (">>", 5), operator.add: ("+", 6),
    operator.sub: ("-", 6), operator.mul: ("*", 7), operator.truediv: ("/", 7), operator.floordiv: ("//", 7),
    operator.mod: ("%", 7), operator.matmul: ("@", 7), operator.pow: ("**", 9),
    operator.iadd: ("+", 6), operator.isub: ("-", 6), operator.imul: ("*", 7), operator.itruediv: ("/", 7),
}  # fmt: skip
PREFIX: dict[Any, str] = {operator.neg: "-", operator.invert: "~", operator.pos: "+", operator.not_: "not "}
ATOM = 20
_SPACES = (
    ("torch", torch),
    ("F", F),
    ("torch.special", torch.special),
    ("torch.linalg", torch.linalg),
    ("torch.fft", torch.fft),
)

Operands = Mapping[Node, tuple[str, int]]


_CASTS = ("bool", "bfloat16")  # methods that TorchScript lacks


class NotWritableError(Exception):
    """A call has no name that a file of torch's alone could hold."""


def expression(node: Node, known: Operands, name_of: Callable[[Any], str]) -> tuple[str, int]:
    """Return a node as code, and how strongly its outermost operator binds.

    ``known``: the code of the nodes it takes; ``name_of`` names functions that are not torch's.
    """

    def text(value: object, least: int = 0) -> str:
        return operand(value, known, least)

    if node.op in ("get_attr", "call_module"):
        place = attribute(str(node.target))
        return (place, ATOM) if node.op == "get_attr" else (f"{place}({_arguments(node.args, node.kwargs, text)})", ATOM)
    if node.op == "call_method":
        own, *others = node.args
        if node.target in _CASTS and not others and not node.kwargs:
            return f"{text(own, ATOM)}.to(torch.{node.target})", ATOM
        return f"{text(own, ATOM)}.{node.target}({_arguments(tuple(others), node.kwargs, text)})", ATOM
    target, args = node.target, node.args
    if target in INFIX and len(args) == 2 and not node.kwargs:
        sign, level = INFIX[target]
        right = level if target is operator.pow else level + 1
        left = level + 1 if level == 1 or target is operator.pow else level
        return f"{text(args[0], left)} {sign} {text(args[1], right)}", level
    if target in PREFIX and len(args) == 1:
        return f"{PREFIX[target]}{text(args[0], 8)}", 8
    if target is operator.getitem:
        return f"{text(args[0], ATOM)}[{_index(args[1], text)}]", ATOM
    if target is getattr and len(args) == 2 and str(args[1]).isidentifier():
        return f"{text(args[0], ATOM)}.{args[1]}", ATOM
    return f"{function_name(target, name_of)}({_arguments(args, _wanted(target, node.kwargs), text)})", ATOM


def operand(value: object, known: Operands, least: int = 0) -> str:
    """Return a value among arguments as code, in brackets where its operator binds less than ``least``."""
    if isinstance(value, Node):
        code, level = known[value]
        return code if level >= least else f"({code})"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(operand(item, known) for item in value)
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)}: {operand(item, known)}" for key, item in value.items()) + "}"
    if isinstance(value, slice):
        return f"slice({', '.join(operand(part, known) for part in (value.start, value.stop, value.step))})"
    code = constant(value)
    return f"({code})" if code.startswith("-") and least > 8 else code


def constant(value: object) -> str:
    """Return a constant as code."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if value is Ellipsis:
        return "..."
    if isinstance(value, torch.device):
        return f'torch.device("{value}")'
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, (bool, int, float, complex, torch.dtype, torch.memory_format, torch.layout)):
        return repr(value)
    raise NotWritableError(f"{type(value).__name__}: {value!r}"[:100])


def quoted(value: object) -> str:
    """Return a string in double quotes, as formatters write it."""
    if not isinstance(value, str):
        return repr(value)
    plain = repr(value)
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in value else plain


def attribute(target: str) -> str:
    """Return the code that reads what is at a dotted path of a module.

    >>> attribute("layer1.0.conv1")
    'self.layer1["0"].conv1'
    """
    return "self" + "".join(f'["{part}"]' if part.isdecimal() else f".{part}" for part in target.split("."))


def function_name(target: object, name_of: Callable[[Any], str]) -> str:
    """Return the name that a function has in a file that imports torch, nn and F."""
    name = asked_name(target)
    for space, module in _SPACES:
        short = name.removeprefix(f"{space.rpartition('.')[2]}_")  # torch calls linalg.solve linalg_solve
        for each in (name, short):
            if vars(module).get(each) is target:
                return f"{space}.{each}"
    if isinstance(target, torch._ops.OpOverload):
        return f"torch.ops.{target.namespace}.{target._schema.name.partition('::')[2]}.{target._overloadname}"
    if isinstance(target, torch._ops.OpOverloadPacket):
        return f"torch.ops.{str(target).replace('aten.', 'aten.')}"
    if vars(builtins).get(name) is target:
        return name
    return name_of(target)


def _wanted(target: object, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by name without those that have their default, which torch names when it hands a call on."""
    if not isinstance(target, types.FunctionType) or target not in vars(F).values():
        return dict(given)
    known = inspect.signature(target).parameters
    return {
        name: value
        for name, value in given.items()
        if isinstance(value, Node) or name not in known or known[name].default != value
    }


def _arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any], text: Callable[[object], str]) -> str:
    return ", ".join([*map(text, args), *(f"{name}={text(value)}" for name, value in kwargs.items())])


def _index(key: object, text: Callable[[object], str]) -> str:
    if isinstance(key, tuple) and key:
        return ", ".join(_index(part, text) for part in key) + ("," if len(key) == 1 else "")
    if isinstance(key, slice):
        start, stop, step = ("" if part is None else text(part) for part in (key.start, key.stop, key.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return text(key)
