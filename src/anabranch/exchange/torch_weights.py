"""Weights that were trained in torch, in a model of ours: which tensor goes where, by name, shape and order."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import torch

from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import MOST_SHOWN, ArgumentError, ArgumentTypeError, FileFormatError, shortened
from anabranch._tables import Column, Table, terminal_width
from anabranch.exchange.packed import Part, taken_apart
from anabranch.exchange.state_dicts import Source, tensors_of
from anabranch.exchange.weight_groups import Group, Target, groups_of
from anabranch.graph import AnyModel, Operation
from anabranch.graph.call_site import warn

GUESS = "a guess: another order fits as well"
_COUNTER = "num_batches_tracked"  # of torch's batch normalization, which Keras's has not
Signature = tuple[tuple[str, tuple[int, ...]], ...]


class Match(NamedTuple):
    """A tensor and the weight that it goes to.

    Args:
        source: the tensor's name.
        target: the weight.
        shape: the tensor's shape.
        reason: why these two.
    """

    source: str
    target: Target
    shape: tuple[int, ...]
    reason: str


class TorchWeights:
    """Which tensor of a state dict goes to which weight of a model, for approval; printed, a table.

    Args:
        tensors: the tensors by name.
        matches: what goes where, in the tensors' order.
        missing: weights without a tensor, with their shapes as torch would have them.
        extra: tensors without a weight.
        model_name: what errors call the model.
    """

    def __init__(
        self, tensors: Mapping[str, torch.Tensor], matches: Iterable[Match], missing: Iterable[Target], extra: Iterable[str],
        model_name: str,
    ) -> None:  # fmt: skip
        self._tensors = tensors
        self.matches = list(matches)
        self.missing = [f"{target.path} {target.shape}" for target in missing]
        self.extra = [f"{name} {tuple(tensors[name].shape)}" for name in extra]
        self.wrong = [f"{m.source} {m.shape} for {m.target.path} {m.target.shape}" for m in self.matches if not _fits(m)]
        self._model_name = model_name

    @property
    def certain(self) -> bool:
        """Whether shapes, names and order leave one answer for every tensor, and nothing is left over."""
        return not (self.missing or self.extra or self.wrong or any(match.reason == GUESS for match in self.matches))

    def __str__(self) -> str:
        return "\n".join([self._table().text(terminal_width()), *self._notes()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from html import escape

        return self._table().html() + "".join(f"<div>{escape(note)}</div>" for note in self._notes())

    def _table(self) -> Table:
        rows = [(m.source, str(m.shape), m.target.path, str(m.target.weight.shape), m.reason) for m in self.matches]
        return Table([Column(title) for title in ("tensor", "shape", "weight", "shape", "by")], rows)

    def _notes(self) -> list[str]:
        return [f"{what}: {', '.join(names)}" for what, names in self._leftovers() if names]

    def _leftovers(self) -> list[tuple[str, list[str]]]:
        return [("missing", self.missing), ("extra", self.extra), ("other shape", self.wrong)]

    def check(self, *, guesses: bool, skip_mismatch: bool) -> None:
        """Raise where the tensors are not those of the model; with ``guesses`` an uncertain order is accepted."""
        guessed = [f"{m.source} for {m.target.path}" for m in self.matches if m.reason == GUESS]
        if guessed and not guesses:
            raise ArgumentError(
                f"The tensors fit model {self._model_name!r} in more than one way.", got=shortened(guessed),
                repair=f"mapping={{{guessed[0].partition(' for ')[0].rpartition('.')[0]!r}: <path of its layer>, …}}, or see "
                "print(plan := exchange.match_torch_weights(model, source)) and call plan.apply()",
            )  # fmt: skip
        got = "; ".join(f"{what}: {shortened(names)}" for what, names in self._leftovers() if names)
        fact = f"The tensors are not those of model {self._model_name!r}."
        if got and not skip_mismatch:
            raise FileFormatError(
                fact, got=got, repair="mapping={name of a tensor or module: path of a weight or layer, or None}; "
                "skip_mismatch=True loads those that fit",
            )  # fmt: skip
        if got:
            warn(f"{fact} {got}. {sum(map(_fits, self.matches))} were loaded.")

    @checked
    def apply(self, skip_mismatch: bool = False) -> None:
        """Set the weights from the tensors, guesses included; nothing changes unless all of them fit.

        Args:
            skip_mismatch: load what fits and warn of the rest.

        Raises:
            FileFormatError: tensors are missing, left over or of another shape; all of them are listed.
        """
        self.check(guesses=True, skip_mismatch=skip_mismatch)
        for match in self.matches:
            if _fits(match):
                match.target.assign(self._tensors[match.source])


def _fits(match: Match) -> bool:
    return match.shape == match.target.shape


@checked
def match_torch_weights(model: AnyModel, source: Source, mapping: Mapping[str, str | None] | None = None) -> TorchWeights:
    """Find out which tensor of torch's goes to which weight, without changing any.

    Convolutions and dense layers are transposed as needed, also after images were flattened, which torch does in another
    order. A tensor and a weight belong together by ``mapping``, by the name of their module and layer, by a shape that
    no other has, by their order where one of the layers computes from the other, or as neighbors of what is certain already.

    Args:
        model: the model.
        source: a state dict, a torch module, or a file: ``.safetensors``, or ``.pt``, ``.pth``, ``.bin`` without code.
        mapping: the path of a weight or layer for the name of a tensor or module; None leaves that one out.

    Example:
        >>> import torch
        >>> from anabranch import Input, Model, exchange, layers
        >>> x = Input((8, 8, 3))
        >>> y = layers.Dense(2, name="head")(layers.Flatten()(layers.Conv2D(4, 3, name="stem")(x)))
        >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2))
        >>> plan = exchange.match_torch_weights(Model(x, y), module)
        >>> print(plan)
        tensor    shape         weight       shape         by
        0.weight  (4, 3, 3, 3)  stem/kernel  (3, 3, 3, 4)  shape
        0.bias    (4,)          stem/bias    (4,)          shape
        2.weight  (2, 144)      head/kernel  (144, 2)      shape; flattened H W C here
        2.bias    (2,)          head/bias    (2,)          shape
        >>> plan.apply()
    """
    if not (isinstance(model, Operation) and model._has_layers_):
        raise ArgumentTypeError("model of match_torch_weights must be a model.", got=shown(model))
    tensors = tensors_of(source)
    names = [name for name in tensors if not name.endswith(_COUNTER)]
    ordered = names != sorted(names)  # safetensors sorts by name, which says less than the order in which modules were made
    if not ordered:
        tensors = {name: tensors[name] for name in sorted(tensors, key=_natural)}
    parts = taken_apart(tensors)
    tensors = {name: part.tensor for name, part in parts.items()}
    groups = groups_of(model)
    state = _Matching(groups, parts, ordered)
    left_out = state.given(mapping or {})
    state.named()
    state.inferred()
    used = {match.source for match in state.matches}
    order = {name: position for position, name in enumerate(tensors)}
    extra = [name for name in tensors if name not in used | left_out and not name.endswith(_COUNTER)]
    taken = {match.target.path for match in state.matches}
    missing = [target for group in groups for target in group.targets.values() if target.path not in taken]
    return TorchWeights(tensors, sorted(state.matches, key=lambda m: order[m.source]), missing, extra, model.name)


class _Module(NamedTuple):
    """The tensors of one torch module, by the last part of their names."""

    name: str
    tensors: dict[str, str]
    signature: Signature


def _modules(parts: Mapping[str, Part]) -> list[_Module]:
    by_module: dict[str, dict[str, str]] = defaultdict(dict)
    for name, part in parts.items():
        if part.role != _COUNTER:
            by_module[part.module][part.role] = name
    return [
        _Module(module, roles, _signature((role, tuple(parts[name].tensor.shape)) for role, name in roles.items()))
        for module, roles in by_module.items()
    ]


def _signature(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> Signature:
    return tuple(sorted(shapes))


class _Matching:
    """Pairs of our groups and torch's modules, found one kind of evidence after the other."""

    def __init__(self, groups: list[Group], parts: Mapping[str, Part], ordered: bool) -> None:
        self._parts = parts
        self._ordered = ordered
        self._groups = groups
        self._modules = _modules(parts)
        self._signatures = [_signature((role, target.shape) for role, target in group.targets.items()) for group in groups]
        self._pairs: dict[int, int] = {}  # positions of groups and modules
        self._done: set[int] = set()  # positions of modules
        self.matches: list[Match] = []

    def given(self, mapping: Mapping[str, str | None]) -> set[str]:
        """Match what the caller says, and return the tensors that are left out."""
        groups = {path: position for position, group in enumerate(self._groups) for path in (group.holder, group.path)}
        targets = {target.path: (p, target) for p, group in enumerate(self._groups) for target in group.targets.values()}
        modules = {module.name: position for position, module in enumerate(self._modules)}
        left_out: set[str] = set()
        for source, path in mapping.items():
            names = [source] if source in self._parts else [name for name in self._parts if self._is_in(name, source)]
            if not names:
                raise ArgumentError("mapping names a tensor that is not there.", got=shown(source))
            if path is None:
                left_out.update(names)
                self._done |= {modules[name] for name in {self._parts[name].module for name in names} if name in modules}
            elif path in groups and source in modules:
                self._pair(groups[path], modules[source], "mapping")
            elif path in targets and source in self._parts:
                position, target = targets[path]
                self._pairs.setdefault(position, -1)
                self._done.add(modules[self._parts[source].module])
                self.matches.append(Match(source, target, tuple(self._parts[source].tensor.shape), "mapping"))
            else:
                near = [*groups, *targets][:MOST_SHOWN]
                raise ArgumentError(
                    f"mapping[{source!r}] is no layer's path for a module, or weight's for a tensor.", got=shown(path),
                    expected=", ".join(near),
                )  # fmt: skip
        return left_out

    def _is_in(self, name: str, module: str) -> bool:
        """Return whether a tensor is one of a module's, or of a module's inside it."""
        return f"{self._parts[name].module}.".startswith(f"{module}.") or name.startswith(f"{module}.")

    def _pair(self, group: int, module: int, reason: str) -> None:
        self._pairs[group] = module
        self._done.add(module)
        for role, target in self._groups[group].targets.items():
            name = self._modules[module].tensors.get(role)
            if name is not None:
                flat = "; flattened H W C here" if target.flattened else ""
                self.matches.append(Match(name, target, tuple(self._parts[name].tensor.shape), reason + flat))

    def _open(self, position: int) -> bool:
        return position not in self._pairs

    def named(self) -> None:
        """Match layers with modules of the same name and shapes: ``layer1.0.conv1`` with ``layer1_0_conv1``."""
        plain = defaultdict(list)
        for position, module in enumerate(self._modules):
            plain[_plain(module.name)].append(position)
        for position, group in enumerate(self._groups):
            names = dict.fromkeys((_plain(group.path), _plain(group.holder)))
            found = [m for name in names for m in plain.get(name, ()) if m not in self._done]
            if self._open(position) and len(found) == 1 and self._modules[found[0]].signature == self._signatures[position]:
                self._pair(position, found[0], "name")

    def inferred(self) -> None:
        """Match by shape, order and neighbors until nothing more is found; then by order alone; then by the kind of layer."""
        while any([self._by_order(), self._by_neighbors()]):
            pass
        for positions, modules in self._candidates(
            lambda position: self._signatures[position], lambda module: module.signature
        ):
            for position, module in zip(positions, modules, strict=False) if len(positions) == len(modules) else ():
                self._pair(position, module, GUESS)
        kinds = self._candidates(lambda p: _ranks(self._signatures[p]), lambda module: _ranks(module.signature))
        for positions, modules in kinds:  # of other shapes: for the list of what does not fit
            if len(positions) == len(modules) == 1:
                self._pair(positions[0], modules[0], "what is left")

    def _candidates(
        self, of_group: Callable[[int], object], of_module: Callable[[_Module], object]
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Yield groups and modules that are alike and not matched yet."""
        alike: dict[object, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for position in range(len(self._groups)):
            if self._open(position):
                alike[of_group(position)][0].append(position)
        for position, module in enumerate(self._modules):
            if position not in self._done:
                alike[of_module(module)][1].append(position)
        yield from list(alike.values())

    def _by_order(self) -> bool:
        """Match modules with as many groups of the same shapes, each of which computes from the one before."""
        found = False
        for positions, modules in self._candidates(lambda p: self._signatures[p], lambda module: module.signature):
            follows = all(self._groups[b].before >> a & 1 for a, b in pairwise(positions))
            follows = follows and (self._ordered or all(self._numbered(a, b) for a, b in pairwise(modules)))
            if positions and len(positions) == len(modules) and follows:
                found = True
                for position, module in zip(positions, modules, strict=True):
                    self._pair(position, module, "shape" if len(positions) == 1 else "shape and order")
        return found

    def _numbered(self, first: int, second: int) -> bool:
        """Return whether the names of two modules differ in a number first: ``layer1.0.bn2``, ``layer1.1.bn1``.

        Torch's recurrent modules run forward first: ``rnn.l0``, ``rnn.l0_reverse``.
        """
        if self._modules[second].name == f"{self._modules[first].name}_reverse":
            return True
        pairs = zip(_natural(self._modules[first].name), _natural(self._modules[second].name), strict=False)
        a, b = next(((a, b) for a, b in pairs if a != b), ((0, 0, ""), (0, 0, "")))
        return bool(a[0] and b[0])

    def _by_neighbors(self) -> bool:
        """Match a group with the module that comes after that of the group which it computes from."""
        found = False
        for position, group in enumerate(self._groups):
            before = self._pairs.get(group.producer, -1) if group.producer is not None else -1
            if before < 0 or not self._open(position):
                continue
            near = [before + 1] if self._ordered else self._siblings(before, self._signatures[position])
            near = [m for m in near if m not in self._done and self._modules[m : m + 1]]
            if len(near) == 1 and self._modules[near[0]].signature == self._signatures[position]:
                found = True
                self._pair(position, near[0], "what it follows")
        return found

    def _siblings(self, module: int, signature: Signature) -> list[int]:
        """Return the modules of one parent with a module that have these shapes; of several those of its number."""
        parent, _, name = self._modules[module].name.rpartition(".")
        near = [
            m for m, each in enumerate(self._modules) if each.name.rpartition(".")[0] == parent and each.signature == signature
        ]
        number = _natural(name)[-1]
        alike = [m for m in near if _natural(self._modules[m].name)[-1] == number]
        return alike if len(near) > 1 else near


def _ranks(signature: Signature) -> tuple[tuple[str, int], ...]:
    return tuple((role, len(shape)) for role, shape in signature)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return what names are ordered by: the numbers in them as numbers."""
    parts = [part for part in re.split(r"([0-9]{1,18})", name) if part]
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts] or [(0, 0, "")]


def _plain(path: str) -> str:
    return re.sub(r"[^0-9a-zA-Z]", "_", path).lower()
