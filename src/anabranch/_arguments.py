"""Arguments of functions, held to their annotations: one place for what is an axis, a size, a number, a name or an array.

What an annotation says is checked before a call, except of arrays, whose check would cost more than many a function. Of these
it is asked when the call has failed, to say which argument was wrong.
"""

from __future__ import annotations

import builtins
import functools
import math
import operator
import os
import re
import sys
import types
import typing
from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeAlias, TypeVar

from anabranch import _tree
from anabranch._asked import (
    answers,
    described,
    dtype_by_name,
    first_line,
    has_shape,
    is_boolean,
    is_from,
    is_integer,
    is_number,
    is_without_values,
    module_of,
    name_of,
    parameters_of,
    shown,
    unwrapped,
)
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, DtypeError, EngineError
from anabranch._frames import FOLDER, bound_methods, leave, mark

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)
RAW = (RuntimeError, IndexError, TypeError, ValueError, ArithmeticError, AttributeError, LookupError)
"""What Python and torch raise for arguments that they cannot use."""


class Kind(NamedTuple):
    """What an annotation says.

    Args:
        words: what it says, as a message has it; "" where it says nothing that can be checked.
        fits: whether a value is so.
        early: whether that is asked before the call.
        plain: whether no tensor can be in its place, traced or not, as of a function, a string or a dict.
        missing: names in it that mean nothing where it is written, as of what is imported for type checkers alone.
    """

    words: str
    fits: Callable[[object], bool]
    early: bool = True
    plain: bool = False
    missing: tuple[str, ...] = ()

    def refuses(self, value: object) -> bool:
        """Return whether a value is wrong, and not in the place of one that is known later."""
        return not self.fits(value) and (self.plain or not _is_traced(value))


UNKNOWN = Kind("", lambda value: True)


def to_boolean(value: object, name: str, owner: object) -> bool:
    """Return ``value``, which must be True or False; it is ``name`` of an object."""
    if not is_boolean(value):
        raise ArgumentTypeError(f"{name} of {name_of(type(owner))} must be True or False.", got=shown(value))
    return bool(value)


_tree.say_too_deep_by(ArgumentError)

# Numbers within bounds, which annotations name

Finite: TypeAlias = float
Positive: TypeAlias = float
NotNegative: TypeAlias = float
Fraction: TypeAlias = float
Count: TypeAlias = int
Several: TypeAlias = int

CALLS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "activation": (("x",), ()),
    "regularizer": (("weight",), ()),
    "constraint": (("weight",), ()),
    "initializer": (("shape",), ("dtype",)),
    "loss": (("y_true", "y_pred"), ()),
    "metric": (("y_true", "y_pred"), ()),
    "loss or metric": (("y_true", "y_pred"), ()),
}
"""How the library calls functions that are given in the place of an object: what by position, what by name."""


def check_called_as(function: Callable[..., object], kind: str, further: Iterable[str] = ()) -> None:
    """Raise where a function of the user's cannot be called as the library calls those of a kind, ``further`` by name."""
    if kind in CALLS:
        words, names = CALLS[kind]
        check_takes(function, words, (*names, *further), f"the place of a{'n' * (kind[0] in 'aeiou')} {kind}")


def check_takes(function: Callable[..., object], words: Iterable[str], names: Iterable[str], place: str) -> None:
    """Raise where a function of the user's, in a place, cannot be called with ``words`` by position and ``names`` by name."""
    if is_from(function, __name__.partition(".")[0], "torch"):
        return
    import inspect  # which takes a while to load

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of what is not written in Python it is not known
        return
    try:
        signature.bind(*words, **dict.fromkeys(names))
    except TypeError as error:
        called = ", ".join((*words, *(f"{name}=…" for name in names)))
        raise ArgumentTypeError(
            f"A function in {place} is called as f({called}).",
            got=f"{name_of(function, type(function).__name__)}{signature}: {error}",
        ) from error


def is_array_like(value: object) -> bool:
    """Return whether a value is what becomes a tensor: an array, a number, or nested lists of these.

    >>> is_array_like([[1.0], [2.0]]), is_array_like("a"), is_array_like([None])
    (True, False, False)
    """
    stack: list[object] = [value]
    opened: set[int] = set()
    while stack:
        item = stack.pop()
        if isinstance(item, (list, tuple)):
            if id(item) not in opened:  # a list may hold itself
                opened.add(id(item))
                stack.extend(item)
        elif isinstance(item, (bool, float, complex)):
            continue
        elif isinstance(item, int):
            if not is_integer(item):
                return False
        elif not has_shape(item) or (is_from(type(item), "numpy") and not str(item.dtype).startswith(NUMBERS)):
            return False
    return True


NUMBERS = ("bool", "int", "uint", "float", "bfloat", "complex")  # what the names of NumPy's dtypes of numbers begin with
_LISTS = tuple(map(name_of, (Sequence, list)))
_MANY = {"an integer": "integers", "a number": "numbers", "a string": "strings", "a function": "functions"}


def _plural(words: str) -> str:
    """Return what a list holds: ``integers or None`` for ``an integer or None``."""
    parts = (part.replace("a list of", "lists of") for part in words.split(" or "))
    return " or ".join(_MANY.get(part, part) for part in parts)


def _sequence(inner: Kind, count: int | None = None) -> Kind:
    words = f"a list of {'' if count is None else f'{count} '}{_plural(inner.words)}" if inner.words else "a list"

    def fits(value: object) -> bool:
        if not isinstance(value, (list, tuple)):
            return _is_row(value, inner.words)
        return count in (None, len(value)) and all(map(inner.fits, value))

    return Kind(words, fits, inner.early, missing=inner.missing)


def _is_row(value: object, each: str) -> bool:
    """Return whether a value is an array of one axis, which is as good as a list of numbers where ``each`` is such."""
    if not has_shape(value) or not isinstance(value.shape, tuple) or len(value.shape) != 1:
        return False
    kinds = ("int", "uint") if each.startswith("an integer") else NUMBERS if "number" in each else ()
    return not each or str(dtype_by_name(value.dtype)).startswith(kinds)


def _number(words: str, fits: Callable[[float], bool]) -> Kind:
    return Kind(words, lambda value: is_number(value) and math.isfinite(value) and fits(float(value)))


def _is_module(value: object) -> bool:
    return any(name_of(kind) == "Module" and is_from(kind, "torch") for kind in type(value).__mro__)  # no engine is loaded


KINDS: dict[str, Kind] = {
    "bool": Kind("True or False", is_boolean),
    "int": Kind("an integer", is_integer),
    "SupportsInt": Kind("an integer", is_integer),
    "float": Kind("a number", is_number),
    "Finite": _number("a finite number", lambda value: True),
    "Positive": _number("a finite number > 0", lambda value: value > 0),
    "NotNegative": _number("a finite number ≥ 0", lambda value: value >= 0),
    "Fraction": _number("a number from 0 to 1", lambda value: 0 <= value <= 1),
    "Count": Kind("an integer ≥ 0", lambda value: is_integer(value) and operator.index(value) >= 0),
    "Several": Kind("an integer ≥ 1", lambda value: is_integer(value) and operator.index(value) >= 1),
    "str": Kind("a string", lambda value: isinstance(value, str), plain=True),
    "None": Kind("None", lambda value: value is None, plain=True),
    **dict.fromkeys(("Path", "os.PathLike[str]"), Kind("a path", lambda value: isinstance(value, os.PathLike), plain=True)),
    "bytes": Kind("bytes", lambda value: isinstance(value, bytes), plain=True),
    "torch.dtype": Kind("a dtype", lambda value: isinstance(dtype_by_name(value), str), plain=True),
    **dict.fromkeys(("Module", "torch.nn.Module"), Kind("a torch.nn.Module", _is_module, plain=True)),
    "np.random.Generator": Kind("a generator of NumPy's", lambda value: answers(value, "bit_generator"), plain=True),
    **dict.fromkeys(
        ("TensorLike", "Tensor", "AnyTensor", "Values", "ArrayLike", "torch.Tensor", "np.ndarray"),
        Kind("a tensor, an array or a number", is_array_like, early=False),
    ),
}
"""What is known by the text of an annotation; an alias of other names is followed."""


def kind_of(annotation: str, names: Mapping[str, object]) -> Kind:
    """Return what an annotation says, where ``names`` has those that it uses.

    >>> kind_of("int | Sequence[int] | None", {}).words
    'an integer or a list of integers or None'
    """
    parts = [_single(part.strip(), names) for part in _split(annotation, "|")]
    missing = tuple(name for part in parts for name in part.missing)
    if missing or not all(part.words for part in parts):
        return UNKNOWN._replace(missing=missing)
    if len(parts) == 1:
        return parts[0]
    each = list(dict.fromkeys(part.words for part in parts))
    words = (", or " if any(" or " in part for part in each) else " or ").join(each)
    early, plain = all(part.early for part in parts), all(part.plain for part in parts)
    return Kind(words, lambda value: any(part.fits(value) for part in parts), early, plain)


def kind_taken(owner: type | None, name: str) -> Kind:
    """Return what the annotation ``Field[what is taken, …]`` of a class's attribute says that it takes."""
    text = str(vars(owner).get("__annotations__", {}).get(name, ""))
    names: Mapping[str, object] = vars(sys.modules[module_of(owner)]) if owner is not None else {}
    if isinstance(alias := names.get(text), str):
        text, names = alias, _home(text, alias, names)
    text = text.removeprefix("fields.")
    return kind_of(next(_split(text[6:-1], ",")), names) if text.startswith("Field[") else UNKNOWN


def _single(text: str, names: Mapping[str, object]) -> Kind:
    head, _, inside = text.removesuffix("]").partition("[") if text.endswith("]") else (text, "", "")
    known = KINDS.get(text) or KINDS.get(head)
    if known is not None:
        return known
    if head.startswith(("typing.", "collections.abc.")):  # in an alias, which says where names are from
        head = head.rpartition(".")[2]
    if inside and (generic := _generic(head, inside, names)) is not None:
        return generic
    if head in _GENERIC:
        return _GENERIC[head]
    return _meant(head, _looked_up(text, names), names)


_GENERIC = {
    name_of(Iterable): Kind("what can be iterated over", lambda value: can_be_iterated(value)),
    name_of(Collection): Kind("a list", lambda value: isinstance(value, Collection) and not isinstance(value, (str, bytes))),
    "Callable": Kind("a function", callable, plain=True),
    **dict.fromkeys(
        ("dict", "Mapping", "MutableMapping"), Kind("a dict", lambda value: isinstance(value, Mapping), plain=True)
    ),
    "set": Kind("a set", lambda value: isinstance(value, set), plain=True),
    "type": Kind("a class", lambda value: isinstance(value, type), plain=True),
    "IO": Kind("an open file", lambda value: answers(value, "read") or answers(value, "write")),
}
"""What an annotation says whatever is in its brackets."""


def _generic(head: str, inside: str, names: Mapping[str, object]) -> Kind | None:
    """Return what an annotation says by what is in its brackets, where that counts."""
    if head == "Literal":
        import ast

        return _choice(ast.literal_eval(f"({inside},)"))
    if head in _LISTS:
        return _sequence(kind_of(inside, names))
    if head == "tuple":
        inner = [part.strip() for part in _split(inside, ",")]
        return _sequence(kind_of(inner[0], names), None if inner[-1] == "..." else len(inner))
    return None


def _looked_up(text: str, names: Mapping[str, object]) -> object:
    """Return what a name with dots means where ``names`` are known; None where it means nothing."""
    first, *rest = text.partition("[")[0].split(".")
    found = names.get(first, vars(builtins).get(first, sys.modules.get(first)))
    try:
        for part in rest:
            found = getattr(found, part)
    except AttributeError:
        return None
    return found


def _home(alias: str, text: str, names: Mapping[str, object]) -> Mapping[str, object]:
    """Return the names of the module that declares an alias as a text, which uses them; ``names`` where there is none."""
    homes = (vars(module) for name, module in list(sys.modules.items()) if f"{name}.".startswith(_PACKAGE))
    declared = (home for home in homes if home.get(alias) is text and alias in home.get("__annotations__", {}))
    return next(declared, names)


_PACKAGE = f"{__name__.partition('.')[0]}."


def _meant(name: str, found: object, names: Mapping[str, object]) -> Kind:
    """Return what an annotation of one name says, where it means what was found: a class, an alias, or nothing."""
    if found is None:
        return UNKNOWN._replace(missing=(name,))
    if isinstance(found, str):
        alias = name.rpartition(".")[2]
        outer = names.maps[:-1] if isinstance(names, ChainMap) else []  # an alias may hold itself: inside, it says nothing
        return kind_of(found, ChainMap({alias: object}, *outer, {**_home(alias, found, names)}))
    if typing.get_origin(found) is typing.Literal:
        return _choice(typing.get_args(found))
    if typing.get_origin(found) not in (None, Any):  # an alias
        return kind_of(str(found), names)
    if isinstance(found, type) and found not in (object, Any) and typing.Protocol not in found.__bases__:
        return Kind(f"{'an' if found.__name__[0] in 'AEIOU' else 'a'} {found.__name__}", lambda value: isinstance(value, found))
    return UNKNOWN


def can_be_iterated(value: object) -> bool:
    """Return whether a value has parts to go over: no text, and no array without axes."""
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes)) and not (has_shape(value) and value.shape == ())


def _choice(choices: tuple[object, ...]) -> Kind:
    return Kind(" or ".join(map(repr, choices)), lambda value: isinstance(value, (str, int)) and value in choices)


def _split(text: str, sign: str) -> Iterator[str]:
    """Yield the parts of an annotation between signs that are in no brackets."""
    depth = begin = 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == sign and depth == 0:
            yield text[begin:place]
            begin = place + 1
    yield text[begin:]


def _written(annotation: object) -> str:
    """Return an annotation as it is written, where a user's module holds it as an object."""
    if isinstance(annotation, str):
        return annotation
    return name_of(annotation) if isinstance(annotation, type) else str(annotation)


def _annotated(function: types.FunctionType) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the annotations of a function's parameters, and the names of those that may be given by position."""
    known = function.__annotations__
    found = {name: _written(known[name]) for name in parameters_of(function) if name in known}
    return found, function.__code__.co_varnames[: function.__code__.co_argcount]


class Checks:
    """What the annotations of a function say of its arguments, read when it is first called.

    Args:
        function: the function.
        name: what messages call it.
    """

    def __init__(self, function: Callable[..., Any], name: str = "") -> None:
        self.function = function
        self._name = name
        self.kinds: dict[str, Kind] = {}
        self._early: dict[str, Kind] = {}
        self._in_order: tuple[tuple[str, Kind | None], ...] | None = None
        parameters = parameters_of(unwrapped(function))
        self.takes_dtype = "dtype" in parameters
        self._dtype_at = parameters.index("dtype") if self.takes_dtype else 0

    @property
    def name(self) -> str:
        """What messages call the function."""
        owner, _, own = self.function.__qualname__.rpartition(".")  # now: networks get their names once they are made
        return self._name or (owner.rpartition(".")[2] if own in ("__call__", "__init__") else own)

    def _read(self) -> tuple[tuple[str, Kind | None], ...]:
        written = unwrapped(self.function)
        names: Mapping[str, object] = {}
        annotations: dict[str, str] = {}
        order: tuple[str, ...] = ()
        if isinstance(written, types.FunctionType):  # of others it is not known
            names, (annotations, order) = written.__globals__, _annotated(written)
        self.kinds = {name: kind_of(text, names) for name, text in annotations.items()}
        self._early = {name: kind for name, kind in self.kinds.items() if kind.words and kind.early}
        self._in_order = tuple((name, self._early.get(name)) for name in order)
        return self._in_order

    def with_name_of_dtype(self, args: tuple[Any, ...], kwargs: Mapping[str, object]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a function that takes a dtype, with that by its name: ``torch.float32`` is ``"float32"``."""
        if "dtype" in kwargs:
            return args, {**kwargs, "dtype": dtype_by_name(kwargs["dtype"])}
        at = self._dtype_at
        return (*args[:at], *map(dtype_by_name, args[at : at + 1]), *args[at + 1 :]), dict(kwargs)

    def before(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        """Raise where an argument is not what its annotation says, as far as that is quickly seen."""
        in_order = self._in_order if self._in_order is not None else self._read()
        if not self._early:
            return
        for (name, kind), value in zip(in_order, args, strict=False):
            if kind is not None and kind.refuses(value):
                raise self._mistake(name, kind, value)
        for name, value in kwargs.items():
            kind = self._early.get(name)
            if kind is not None and kind.refuses(value):
                raise self._mistake(name, kind, value)

    def sizes_of_numbers(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        """Raise where an integer is beyond those of torch: what is only described does not fail with it."""
        if any(type(value) is int and not is_integer(value) for value in (*args, *kwargs.values())):
            mistake = self.after(args, kwargs)
            if mistake is not None:
                raise mistake

    def after(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> AnabranchError | None:
        """Return the error that says which argument made a call fail; None where all are what their annotations say."""
        if self._in_order is None:
            self._read()
        for name, value in self.named(args, kwargs).items():
            kind = self.kinds.get(name, UNKNOWN)
            if kind.refuses(value):
                return self._mistake(name, kind, value)
        return None

    def failed(self, args: tuple[object, ...], kwargs: Mapping[str, object], error: Exception) -> AnabranchError:
        """Return the error for a call that failed: the wrong argument, or what torch said of right ones."""
        found = self.after(args, kwargs)
        if found is not None:
            return found
        import inspect

        try:
            inspect.signature(self.function).bind(*args, **kwargs)
        except TypeError as unbound:  # an argument is missing, or one too many
            return ArgumentTypeError(f"{self.name}: {unbound}.", expected=f"{self.name}{inspect.signature(self.function)}")
        given = ", ".join(f"{name} {described(value)}" for name, value in self.named(args, kwargs).items())
        return EngineError.of(error, f"{self.name} could not run: {first_line(error)}", got=given[:400])

    def mistaken(self, args: tuple[object, ...], kwargs: Mapping[str, object], error: Exception) -> AnabranchError | None:
        """Return the error that says which argument made a call fail, or how it was misused; None where none did."""
        return self.after(args, kwargs) or self._misused(args, kwargs, error)

    def _misused(self, args: tuple[object, ...], kwargs: Mapping[str, object], error: Exception) -> AnabranchError | None:
        """Return the error for a list that holds itself, a tensor without values, or a function called otherwise."""
        if isinstance(error, NotImplementedError):
            for name, value in self.named(args, kwargs).items():
                if is_without_values(value):
                    words = f"{name} of {self.name} must be a dense tensor that has values."
                    return ArgumentTypeError(words, got=shown(value), repair="a sparse tensor's to_dense()")
        if isinstance(error, RecursionError) and _tree.holds_itself((args, dict(kwargs))):
            return ArgumentError(str(_tree.too_deep()))
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        here = trace is not None and trace.tb_frame.f_code.co_filename.startswith(FOLDER)
        if isinstance(error, TypeError) and here and re.search(_UNBOUND, str(error)):
            return ArgumentTypeError(f"{self.name} cannot call a function that it was given: {error}.")
        return None

    def named(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """Return the arguments of a call by name, as far as they have one."""
        in_order = self._in_order if self._in_order is not None else self._read()
        named = {**dict(zip((name for name, _ in in_order), args, strict=False)), **kwargs}
        return {name: value for name, value in named.items() if name not in ("self", "cls")}

    def _mistake(self, name: str, kind: Kind, value: object) -> AnabranchError:
        number = ("integer" in kind.words and type(value) is int) or ("number" in kind.words and type(value) in (int, float))
        if number:  # of the right type, so beyond the bounds
            return ArgumentError(f"{name} of {self.name} is out of range: it must be {kind.words}.", got=shown(value))
        return ArgumentTypeError(f"{name} of {self.name} must be {kind.words}.", got=shown(value))


_UNBOUND = r"takes .* argument|missing \d+ required|got an unexpected keyword|got multiple values|is not callable"
_SYMBOLIC = ("SymInt", "SymFloat", "SymBool")  # torch's numbers that are known later


def _is_traced(value: object) -> bool:
    """Return whether a value is in the place of one that is known later: a symbolic or traced number, or a tensor of one."""
    if is_from(type(value), "torch") and name_of(type(value)) in ("Tensor", "Parameter"):
        return has_shape(value) and value.shape == () and not is_without_values(value)
    return name_of(type(value)) in _SYMBOLIC or (
        has_shape(value) and any(is_from(kind, "torch") for kind in type(value).__mro__)
    )


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Hold a function's arguments to their annotations, and bound it; an error inside that a wrong one explains says so.

    Other errors pass as they are, as the function may run the user's code.

    >>> @checked
    ... def repeat(text: str, count: int = 2) -> str:
    ...     return text * count
    >>> repeat("a", "b")
    Traceback (most recent call last):
    anabranch._errors.ArgumentTypeError: count of repeat must be an integer.
      got:      'b'
    """
    return held(function, every=False)


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """Like ``checked``, of a function that runs no code but the library's: every error of Python's or torch's becomes ours."""
    return held(function, every=True)


def held(function: Callable[P, R], *, every: bool, instead: Callable[..., R | None] | None = None) -> Callable[P, R]:
    """Do what ``checked`` does or, of ``every`` error, ``guarded``.

    ``instead``: is called with the function held and its arguments where these are of another dtype; its result, unless it
    is None, is that of the call.
    """
    checks = Checks(function)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> R:
        try:
            if checks.takes_dtype:
                args, kwargs = checks.with_name_of_dtype(args, kwargs)
            checks.before(args, kwargs)
            try:
                return function(*args, **kwargs)
            except RAW as error:
                ours = isinstance(error, AnabranchError)
                if every and not ours:
                    raise checks.failed(args, kwargs, error) from error
                if not ours or isinstance(error, DtypeError):
                    mistake = checks.mistaken(args, kwargs, error)
                    if mistake is not None:
                        raise mistake from error
                    result = instead(called, args, kwargs) if ours and instead is not None else None
                    if result is not None:
                        return result
                raise
        except BaseException as error:
            leave(error)
            raise

    mark(called)
    return called


def guarded_methods(cls: C) -> C:
    """Guard the public methods and the constructor that a class defines, and return the class."""
    for name, value in list(vars(cls).items()):
        if isinstance(value, types.FunctionType) and (
            not name.startswith("_") or name in ("__init__", "__next__", "__getitem__")
        ):
            setattr(cls, name, guarded(value))
    return bound_methods(cls)
