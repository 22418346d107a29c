"""A written file as a module that runs: its classes, the weights it shares, and how it is copied, pickled and converted."""

from __future__ import annotations

import hashlib
import linecache
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

import torch

from anabranch._asked import is_from, module_of
from anabranch.exchange.plan import Plan
from anabranch.exchange.source import Source
from anabranch.graph.call_site import warn

Functions = dict[str, Callable[..., Any]]
Convert = Callable[[torch.Tensor], torch.Tensor]
_PREFIX = "torch_source_"
_models: weakref.WeakKeyDictionary[torch.nn.Module, weakref.ref[Any]] = weakref.WeakKeyDictionary()  # whose weights it shares


class _File(types.ModuleType):
    """A Python module whose text is not on disk."""

    text: str
    functions: Functions


def live(source: Source, plan: Plan, model: object) -> torch.nn.Module:
    """Return the module of a planned tree, which shares the tensors that the plan names: a model's."""
    kind = getattr(loaded(source.text, source.functions), source.main)
    with torch.device("meta"):
        root: torch.nn.Module = kind()
    for path, value in plan.bindings():
        owner_path, _, name = path.rpartition(".")
        owner = root.get_submodule(owner_path)
        if isinstance(value, torch.nn.Module):
            owner._modules[name] = value
        elif isinstance(value, torch.nn.Parameter):
            owner._parameters[name] = value
        elif isinstance(value, torch.Tensor):
            owner._parameters.pop(name, None)
            owner._buffers[name] = value
        else:
            setattr(owner, name, value)
    given = {inner for _, value in plan.bindings() if isinstance(value, torch.nn.Module) for inner in value.modules()}
    for module in root.modules():
        if module in given:  # a user's, which the model runs too: they cannot part
            continue
        _models[module] = weakref.ref(model)
        if isinstance(module, torch.nn.RNNBase):
            vars(module)["flatten_parameters"] = _Flattening(module)
            module._init_flat_weights()
        if type(module)._load_from_state_dict is not _load_from_state_dict:  # torch's, or that of a written class
            module.register_load_state_dict_pre_hook(_note_assignment)  # type: ignore[no-untyped-call]  # torch leaves it so
        if not module_of(type(module)).startswith(_PREFIX):  # one of torch's own
            vars(module)["_apply"] = _Conversion(module)
    for path, twin in plan.twins():
        if twin.sources:
            hook = _Renaming(twin.sources)
            root.get_submodule(path).register_load_state_dict_pre_hook(hook)  # type: ignore[no-untyped-call]  # as above
    return root.eval()


def loaded(text: str, functions: Functions) -> _File:
    """Return a file's text as a Python module, which tools that look for source find; the same one for the same text."""
    name = _PREFIX + hashlib.sha256(text.encode()).hexdigest()[:12]
    known = sys.modules.get(name)
    if isinstance(known, _File):
        return known
    file = _File(name)
    file.text, file.functions, file.__file__ = text, functions, f"<{name}.py>"
    linecache.cache[file.__file__] = len(text), None, text.splitlines(keepends=True), file.__file__
    sys.modules[name] = file
    vars(file).update(functions)
    exec(compile(text, file.__file__, "exec"), vars(file))
    for value in list(vars(file).values()):
        if isinstance(value, type) and is_from(value, name):
            for key, attribute in _OF_CLASSES.items():
                if key not in vars(value):
                    setattr(value, key, attribute)
            value.code = text  # type: ignore[attr-defined]  # what users print to read
    return file


def rebuilt(text: str, name: str, functions: Functions) -> torch.nn.Module:
    """Return an empty module of a file's class, which its state then fills."""
    kind = getattr(loaded(text, functions), name)
    made: torch.nn.Module = kind.__new__(kind)
    return made


def _reduced(self: torch.nn.Module, protocol: object) -> tuple[object, ...]:
    """Say how a module is pickled and copied: by the text of its file, its class and its state."""
    kind = next(each for each in type(self).__mro__ if module_of(each).startswith(_PREFIX))
    file = sys.modules[module_of(kind)]
    if not isinstance(file, _File):
        raise TypeError(f"{file.__name__} is no file of to_torch")
    own: Any = self  # a recurrent module leaves its weak references out of its state
    state = own.__getstate__() if isinstance(self, torch.nn.RNNBase) else vars(self).copy()
    return rebuilt, (file.text, kind.__name__, file.functions), state


def _apply(self: torch.nn.Module, fn: Convert, recurse: bool = True) -> torch.nn.Module:
    """Convert a module of a class written here."""
    return _converted(self, torch.nn.Module._apply, fn, recurse)


class _OfModule:
    """A method of one module, whose class is torch's; copied and pickled with it, it keeps no module alive."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = weakref.ref(module)

    def _of(self) -> torch.nn.Module:
        module = self._module()
        if module is None:
            raise ReferenceError("The module that is converted is gone.")
        return module

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._of(),)


class _Conversion(_OfModule):
    """Its ``_apply``."""

    def __call__(self, fn: Convert, recurse: bool = True) -> torch.nn.Module:
        """Convert the module."""
        module = self._of()
        return _converted(module, type(module)._apply, fn, recurse)


class _Renaming:
    """Lets a module of torch's load a ``state_dict`` of the model, which has other names for its weights."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.sources = sources  # the module's names, and the model's: one for several that are its rows; "" for zeros of none

    def __call__(self, module: torch.nn.Module, state_dict: dict[str, torch.Tensor], prefix: str, *others: object) -> None:
        """Rename the model's weights in a state."""
        if not any(source and prefix + source in state_dict for source in self.sources.values()):
            return
        for source in dict.fromkeys(self.sources.values()):
            names = [prefix + name for name, each in self.sources.items() if each == source]
            if not source:
                for name in names:
                    state_dict.setdefault(name, torch.zeros_like(getattr(module, name.removeprefix(prefix))))
            elif prefix + source in state_dict:
                value = state_dict.pop(prefix + source)
                state_dict.update(zip(names, value if len(names) > 1 else [value], strict=False))


class _Flattening(_OfModule):
    """The ``flatten_parameters`` of a recurrent one, which moves weights to other memory, so not those of a model."""

    def __call__(self) -> None:
        """Put the weights into one piece of memory, as cuDNN likes them."""
        module = self._of()
        if module not in _models:
            type(module).flatten_parameters(module)  # type: ignore[attr-defined]  # put on recurrent modules alone


def _converted(module: torch.nn.Module, convert: Callable[..., object], fn: Convert, recurse: bool) -> torch.nn.Module:
    """Convert a module; where that changes type, device or memory format, it gets parameters of its own, the model keeps its.

    Torch would put the converted values into the parameters that both share, and the model could not run with these.
    """
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    changes = _changes(module, fn) if module in _models else ""
    if changes:
        _part(module, f"was converted to {changes}")
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(before or bool(changes))
    torch.__future__.set_swap_module_params_on_conversion(swaps and not changes)
    try:
        convert(module, fn, recurse)
        return module
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)
        torch.__future__.set_swap_module_params_on_conversion(swaps)


def _changes(module: torch.nn.Module, fn: Convert) -> str:
    """Return what a conversion makes of parameters, "" where nothing changes: one of each number of axes is tried."""
    kinds = {(p.dim(), p.dtype, p.device): p for p in module.parameters()}
    with torch.no_grad():
        made = [(p, fn(p)) for p in kinds.values()]
    changed = (q for p, q in made if p.dtype != q.dtype or p.device != q.device or p.stride() != q.stride())
    return next((f"{q.dtype} on {q.device}" for q in changed), "")


def _load_from_state_dict(self: torch.nn.Module, state_dict: object, prefix: str, local_metadata: Any, *others: object) -> None:
    """Load a module's own values; ``load_state_dict(assign=True)`` gives it parameters of its own."""
    _note_assignment(self, state_dict, prefix, local_metadata)
    base: Any = next(kind for kind in type(self).__mro__ if not module_of(kind).startswith(_PREFIX))  # such as BatchNorm2d
    base._load_from_state_dict(self, state_dict, prefix, local_metadata, *others)


def _note_assignment(module: torch.nn.Module, state_dict: object, prefix: str, local_metadata: Any, *others: object) -> None:
    """Notice that a module of torch's is given parameters of its own; a hook, as its class is torch's."""
    if local_metadata.get("assign_to_params_buffers"):
        _part(module, "was assigned tensors by load_state_dict(assign=True)")


def _part(module: torch.nn.Module, what: str) -> None:
    """Warn once where a module gets parameters of its own while there is a model that it shared them with."""
    parted = [_models.pop(inner, None) for inner in module.modules()]
    model = parted[0]() if parted[0] is not None else None
    if model is not None:
        warn(
            f"The module {what}, so it shares no weights with model {model.name!r} any more, which keeps its own. To mean it, "
            "convert or load copy.deepcopy(model.to_torch())."
        )


_OF_CLASSES = {"__reduce_ex__": _reduced, "_apply": _apply, "_load_from_state_dict": _load_from_state_dict}
