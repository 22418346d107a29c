"""Recurrent layers that make their own cell: its settings are theirs."""

from __future__ import annotations

import copy
import operator
from typing import Any, ClassVar, Literal, Self, TypeAlias

from anabranch import _tree, runtime
from anabranch._errors import ArgumentError
from anabranch.config import DTypePolicy
from anabranch.graph import Shape
from anabranch.graph.shapes import check_rank
from anabranch.layers import fields
from anabranch.layers.recurrent.cells import Cell
from anabranch.layers.recurrent.rnn import RNN

Cudnn: TypeAlias = Literal["auto"] | bool
CudnnField: TypeAlias = "fields.Field[Cudnn, Cudnn]"


def cudnn() -> Any:
    """Declare whether one function of torch's, cuDNN's on a GPU, runs all steps."""
    doc = 'True: one function of torch\'s for all steps, or an error; False: none; "auto": where its arithmetic is the same.'
    made = fields.choice("auto", True, False, default="auto", doc=doc)
    made.hidden = True
    return made


def check_cudnn(layer: Owning, wanted: Cudnn) -> None:
    """Raise where torch's fused function is wanted and its arithmetic is another."""
    if wanted is True and (layer.unroll or layer.cell.recurrent_dropout or not layer.cell.fuses()):
        raise ArgumentError(
            f"use_cudnn=True of {type(layer).__name__} needs the arithmetic of cuDNN.",
            expected='activation="tanh", recurrent_activation="sigmoid", recurrent_dropout=0, unroll=False, reset_after=True',
            got=layer._written_code_(), where=str(layer._made_at_), repair='use_cudnn="auto"',
        )  # fmt: skip


class OfCell(fields.Field[Any, Any]):
    """A setting of a layer's cell, which the layer shows and sets."""

    @classmethod
    def like(cls, owner: type, each: fields.Field[Any, Any]) -> OfCell:
        """Return the setting ``each`` of a cell for a class of layers."""
        made = cls(each.default, each.convert, each.plain, each.doc, fixed=each.fixed, fresh=each.fresh, hidden=each.hidden)
        made.name, made.key, made.owner = each.name, each.key, owner
        made.read_by(operator.attrgetter(f"cell.{each.key}"))
        return made


class Owning(RNN):
    """A recurrent layer whose cell is made of the layer's settings. Abstract."""

    cell_class: ClassVar[type[Cell]] = Cell
    cell_name: ClassVar[str] = ""
    axes: ClassVar[str] = "batch, steps, features"
    _takes_integers_ = False
    _takes_one_tensor_ = True

    cell: Any = None  # no setting

    def __init_subclass__(cls, **kwargs: object) -> None:
        adds = any(isinstance(each, fields.Field) for each in cls.__dict__.values())
        for name, each in cls.cell_class._fields_.items():
            setattr(cls, name, OfCell.like(cls, each))
        if not adds and "_field_order_" not in cls.__dict__:  # the cell's settings are no new ones: they stay where they were
            cls._field_order_ = tuple(name for name in cls._field_order_ if isinstance(getattr(cls, name, None), fields.Field))
        super().__init_subclass__(**kwargs)

    def _check_(self) -> None:
        super()._check_()
        if self.cell is None:
            held = vars(self)
            given = {
                each.name: held[each.key] for each in self._fields_.values() if isinstance(each, OfCell) and each.key in held
            }
            self.cell = self.cell_class(**given, name=self.cell_name, dtype=self.dtype_policy, trainable=self.trainable)

    def __copy__(self) -> Self:
        """Return a layer that shares the weights, and whose settings, the cell's too, are its own."""
        twin = type(self).__new__(type(self))
        vars(twin).update(self.__getstate__(), cell=copy.copy(self.cell))
        return twin

    def _changing_(self, changed: fields.Field[Any, Any], value: object) -> None:
        if not isinstance(changed, OfCell):
            super()._changing_(changed, value)
            return
        setattr(self.cell, changed.name, value)
        self._check_()
        self._note_change_()

    def _take_policy_(self, policy: DTypePolicy) -> None:
        super()._take_policy_(policy)
        if self.cell is not None:
            self.cell.dtype_policy = policy

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: object) -> None:
        """Load what ``to_torch()`` calls the weights, too: those of ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``."""
        names = [name for name, layer in self._modules.items() if layer is self.cell]
        if names and f"{prefix}weight_ih_l0" in state_dict:
            runtime.rename_recurrent(state_dict, prefix, f"{prefix}{names[0]}.", self.cell.gates == 3)
        super()._load_from_state_dict(state_dict, prefix, *others)  # type: ignore[arg-type]  # torch's, handed on

    def build(self, input_shape: Shape) -> None:
        """Build the cell for one step, and make the states that ``stateful`` needs."""
        check_rank(input_shape, 3 + self.cell.rank, self.axes)
        super().build(input_shape)

    def _specs(self, shape: Shape) -> _tree.Nest:
        check_rank(shape, 3 + self.cell.rank, self.axes)
        return super()._specs(shape)
