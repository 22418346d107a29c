"""Which frames a traceback shows: the user's. Where an error leaves anabranch, the others are cut out of it.

What users call is *bounded*: a function by ``@bounded``, the public methods of a class by ``bound_methods``. An error on its
way out loses its frames of anabranch and of generated code, and those of torch, NumPy and the standard library where anabranch
called them; frames of callbacks, layers and data that the user wrote stay. Whoever shows the error (Python, IPython, pytest, a
logger) then shows these alone.
"""

from __future__ import annotations

import builtins
import functools
import os
import types
from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])
C = TypeVar("C", bound=type)

FOLDER = os.path.dirname(__file__) + os.sep
LIBRARY = os.path.dirname(os.__file__) + os.sep
INSTALLED = ("site-packages", "dist-packages")  # folders in LIBRARY that hold packages
GENERATED = ("<eval_with_key>", "<frozen ", "<__array_function__")
ENGINE = frozenset(("torch", "numpy", "safetensors", "rich", "lazy_loader"))  # packages that anabranch calls
UNBOUNDED = frozenset(  # run by the library at each call or step, ``call`` by torch's tracers too; users write ``layer(x)``
    (
        "call", "compute_output_spec", "weight", "add_kernel", "add_bias", "channels", "channels_after", "made_for",
        "accumulates", "prepare", "step_size", "update_weights", "count",
    )
)  # fmt: skip
OPERATORS = frozenset(
    f"__{name}__"
    for name in (
        "init", "new", "call", "getitem", "setitem", "delitem", "len", "iter", "contains", "bool", "float", "int", "index",
        "array", "array_ufunc", "array_function", "torch_function", "getattr", "setattr", "enter", "copy", "deepcopy", "reduce",
        "add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "rfloordiv", "mod", "rmod",
        "pow", "rpow", "matmul", "rmatmul", "and", "rand", "or", "ror", "xor", "rxor",
        "lt", "le", "gt", "ge", "eq", "ne", "neg", "abs", "invert",
    )
)  # fmt: skip
HIDDEN = "The frames of anabranch are hidden; config.disable_traceback_filtering() shows them."

_filtering = True


def filtering() -> bool:
    """Return whether frames are cut."""
    return _filtering


def set_filtering(enabled: bool) -> None:
    """Cut frames from now on, or leave them."""
    global _filtering
    _filtering = enabled


def bounded(function: F) -> F:
    """Let errors leave a function that users call with the users' frames alone.

    >>> bounded(len)([1])
    1
    """

    def boundary(*args: object, **kwargs: object) -> object:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            leave(error)
            raise  # adds no frame of its own

    if not isinstance(function, types.FunctionType):
        functools.update_wrapper(boundary, function)
        mark(boundary)
        return boundary  # type: ignore[return-value]  # of the same signature
    # as ``update_wrapper`` does, in half the time: hundreds are made as the package loads
    for name in functools.WRAPPER_ASSIGNMENTS:
        setattr(boundary, name, getattr(function, name))
    boundary.__dict__.update(function.__dict__, __wrapped__=function, __bounded__=True)
    return boundary  # type: ignore[return-value]  # as above


def mark(function: Callable[..., object]) -> None:
    """Mark a function that lets errors leave through ``leave``."""
    function.__dict__["__bounded__"] = True


def unbounded(function: F) -> F:
    """Leave a method as it is, which runs often and does not fail, or lets errors leave through ``leave`` by itself."""
    mark(function)
    return function


def leave(error: BaseException) -> None:
    """Prepare an error that is about to reach the user's code; a bare ``raise`` then adds no frame."""
    if _filtering:
        cut(error)


def bound_methods(cls: C) -> C:
    """Bound the public methods, operators and setters that a class defines, where they are anabranch's, and return the class.

    What properties read is bounded one by one, where it may fail: many are read at every call.
    """
    for name, value in list(vars(cls).items()):
        if (name.startswith("_") and name not in OPERATORS) or name in UNBOUNDED:
            continue
        if isinstance(value, types.FunctionType):
            if _is_ours(value):
                setattr(cls, name, bounded(value))
        elif isinstance(value, (classmethod, staticmethod)):
            if _is_ours(value.__func__):
                setattr(cls, name, type(value)(bounded(value.__func__)))
        elif type(value) is property and value.fset is not None and _is_ours(value.fset):
            setattr(cls, name, value.setter(bounded(value.fset)))
    return cls


def _is_ours(function: object) -> bool:
    """Return whether a function is anabranch's and not yet bounded."""
    while isinstance(function, types.FunctionType) and "__bounded__" not in function.__dict__:
        if function.__code__.co_filename.startswith(FOLDER):
            return True
        function = function.__dict__.get("__wrapped__")
    return False


def cut(error: BaseException) -> None:
    """Cut the frames that are not the user's out of an error's traceback, and out of those of the errors that led to it."""
    raised_here = _cut_one(error)
    if raised_here and _is_pythons(error) and HIDDEN not in error.__dict__.get("__notes__", ()):
        error.add_note(HIDDEN)  # an error of Python's own explains nothing: whoever reports it needs the frames
    seen = {id(error)}
    earlier = _earlier(error)
    while earlier is not None and id(earlier) not in seen:
        seen.add(id(earlier))
        _cut_one(earlier)
        error, earlier = earlier, _earlier(earlier)


def _is_pythons(error: BaseException) -> bool:
    return isinstance(error, Exception) and vars(builtins).get(type(error).__name__) is type(error)


def _earlier(error: BaseException) -> BaseException | None:
    """Return the error that led to another; one that anabranch caught, which is no cause, is no longer shown with it."""
    cause, context = error.__cause__, error.__context__
    if cause is None and context is not None and not error.__suppress_context__ and not any(_shown(context)):
        error.__suppress_context__ = True
    return cause or context


def _cut_one(error: BaseException) -> bool:
    """Cut the frames of one error and return whether it was raised in one of them."""
    shown = _shown(error)
    if all(shown):
        return False
    steps = _steps(error)
    last = steps[-1]
    steps = [step for step, users in zip(steps, shown, strict=True) if users]
    following: types.TracebackType | None = None
    for step in reversed(steps):
        following = types.TracebackType(following, step.tb_frame, step.tb_lasti, step.tb_lineno)
    error.__traceback__ = following
    return not shown[-1] and last.tb_frame.f_code is not _BOUNDARY  # else the arguments were wrong


def _steps(error: BaseException) -> list[types.TracebackType]:
    steps = []
    step = error.__traceback__
    while step is not None:
        steps.append(step)
        step = step.tb_next
    return steps


def _shown(error: BaseException) -> list[bool]:
    """Return for each frame of an error's traceback whether it is shown."""
    shown: list[bool] = []
    for step in _steps(error):
        shown.append(_is_users(step.tb_frame, shown[-1] if shown else True))
    return shown


def _is_users(frame: types.FrameType, by_user: bool) -> bool:
    """Return whether a frame is the user's; torch and the standard library are, where the user called them."""
    file = frame.f_code.co_filename
    if by_user or file.startswith(FOLDER):
        return not file.startswith(FOLDER)
    module = str(frame.f_globals.get("__name__", ""))
    if file.startswith(GENERATED) or module.partition(".")[0] in ENGINE:
        return False
    return not file.startswith(LIBRARY) or file[len(LIBRARY) :].startswith(INSTALLED)


_BOUNDARY = bounded(cut).__code__
