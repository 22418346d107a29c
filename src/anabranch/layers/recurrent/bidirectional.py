"""Bidirectional: two recurrent layers, one of which begins at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from anabranch import _tree
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch.graph import Shape, Spec, Weight, map_specs
from anabranch.layers import fields
from anabranch.layers.base import Layer
from anabranch.layers.configuring import again
from anabranch.layers.recurrent.rnn import RNN
from anabranch.layers.wrapper import cast_for, to_layer
from anabranch.ops import _kernels as kernels

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

Merging: TypeAlias = Literal["concat", "sum", "mul", "ave"] | None


def _recurrent(value: object, owner: object, name: str) -> RNN | None:
    if value is None and name == "layer":
        raise ArgumentTypeError("layer of Bidirectional must be a recurrent layer.", got="None")
    found = None if value is None else to_layer(value, owner, name)
    if found is not None and not isinstance(found, RNN):
        raise ArgumentTypeError(f"{name} of Bidirectional must be a recurrent layer.", got=found._written_code_())
    return found


class Bidirectional(fields.FieldLayer):
    """Run a recurrent layer forwards and one like it backwards: (B, T, …) -> (B, 2 · units) (Schuster & Paliwal 1997).

    The layer that is given is copied, under the names ``forward_…`` and ``backward_…``. Initial states are those of the forward
    layer, then those of the backward one, and so are the states that are returned.

    Example:
        >>> from anabranch import Input, layers
        >>> Bidirectional(layers.LSTM(8, return_sequences=True))(Input((10, 4))).shape
        (None, 10, 16)
    """

    supports_masking = True
    _takes_one_tensor_ = True

    layer: fields.Field[Layer, RNN] = fields.field(convert=_recurrent, fixed=True, doc="the recurrent layer.")
    merge_mode: fields.Field[Merging, Merging] = fields.choice(
        "concat", "sum", "mul", "ave", None, default="concat", doc="how both outputs become one; None: both are returned."
    )
    weights: fields.Field[None, None] = fields.absent(default=None, hidden=True)  # type: ignore[assignment]
    backward_layer: fields.Field[Layer | None, RNN] = fields.field(
        default=None, convert=_recurrent, fixed=True, doc="the layer that runs backwards; None: one like ``layer``."
    )

    forward_layer: RNN = fields.state(init=False)

    def _check_(self) -> None:
        if self.forward_layer is None:
            given, own = self.layer, vars(self)
            if self.backward_layer is None:
                own[":backward_layer"] = _like(given, "backward_", backwards=True)
            own[":layer"] = self.forward_layer = _like(given, "forward_")
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ArgumentError(
                "One layer of Bidirectional runs forwards, the other backwards.",
                got=f"go_backwards={forward.go_backwards} of both", where=self._place_(),
            )  # fmt: skip
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(forward, name) != getattr(backward, name):
                raise ArgumentError(f"{name} of both layers of Bidirectional must be the same.", where=self._place_())
        for each in (forward, backward):
            vars(each)[":zero_output_for_mask"] = each.return_sequences  # at a masked step nothing is merged

    @property
    def return_sequences(self) -> bool:
        """Whether the output is that of each step."""
        return self.forward_layer.return_sequences

    @property
    def return_state(self) -> bool:
        """Whether the last states are returned after the output."""
        return self.forward_layer.return_state

    @property
    def stateful(self) -> bool:
        """Whether a batch begins with the states that the batch before ended with."""
        return self.forward_layer.stateful

    @property
    def states(self) -> tuple[Weight, ...] | None:
        """The states that are stored between batches, None unless the layers are stateful."""
        forward, backward = self.forward_layer.states, self.backward_layer.states
        return None if forward is None or backward is None else (*forward, *backward)

    def build(self, input_shape: Shape) -> None:
        """Build both layers."""
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(input_shape)

    def compute_output_spec(
        self, sequences: Tensor, initial_state: _tree.Nest = None, mask: object = None, training: bool | None = None
    ) -> _tree.Nest:
        """Return the spec of the merged output, and of the states where these are returned."""
        return self._specs(self.forward_layer.compute_output_spec(sequences))

    def compute_output_shape(self, input_shape: Shape) -> _tree.Nest:
        """(B, T, …) -> (B, T, 2 · units) or (B, 2 · units) where outputs are joined, and the shapes of the states."""
        forward = self.forward_layer._specs(input_shape)
        return map_specs(lambda spec: spec.shape, self._specs(forward))

    def _specs(self, forward: _tree.Nest) -> _tree.Nest:
        given, *states = forward if self.return_state else [forward]
        output = Spec(given.shape, self.compute_dtype)
        if self.merge_mode is None:
            return [output, output, *states, *states]
        if self.merge_mode == "concat":
            output = output._replace(shape=(*given.shape[:-1], 2 * given.shape[-1]))
        return [output, *states, *states] if self.return_state else output

    def compute_mask(self, inputs: _tree.Nest, previous_mask: _tree.Nest) -> _tree.Nest:
        """Return the mask of the steps where each has an output; states have none."""
        mask = _tree.leaves(previous_mask)[0] if self.return_sequences else None
        if self.merge_mode is not None and not self.return_state:
            return mask
        return [mask] * (1 if self.merge_mode else 2)

    def call(
        self, sequences: Tensor, initial_state: _tree.Nest = None, mask: Tensor | None = None, training: bool | None = None
    ) -> _tree.Nest:
        """Run both layers, and merge what they give."""
        given = [None, None] if initial_state is None else _halves(list(initial_state))
        masked = {} if mask is None else {"mask": mask}
        results = [
            layer(cast_for(layer, sequences, self.compute_dtype), initial_state=states, **masked)
            for layer, states in zip((self.forward_layer, self.backward_layer), given, strict=True)
        ]
        forward, backward = (result[0] if self.return_state else result for result in results)
        if {self.forward_layer.compute_dtype, self.backward_layer.compute_dtype} != {self.compute_dtype}:
            forward, backward = (kernels.cast(output, self.compute_dtype) for output in (forward, backward))
        if self.return_sequences:
            backward = backward.flip(1)
        states = [state for result in results for state in result[1:]] if self.return_state else []
        if self.merge_mode is None:
            return [forward, backward, *states]
        if self.merge_mode == "concat":
            output = kernels.concatenate([forward, backward], -1)
        elif self.merge_mode == "mul":
            output = forward * backward
        else:
            output = forward + backward
            output = output / 2 if self.merge_mode == "ave" else output
        return [output, *states] if self.return_state else output

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: object) -> None:
        """Load what ``to_torch()`` calls the weights, too: those of one module that runs both ways."""
        for name, layer in self._modules.items():
            end = "_l0" if layer is self.forward_layer else "_l0_reverse"
            for key in [key for key in state_dict if key.startswith(prefix) and key.endswith(end)]:
                part = key.removeprefix(prefix).removesuffix("_reverse")
                if "." not in part:
                    state_dict[f"{prefix}{name}.{part}"] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *others)  # type: ignore[arg-type]  # torch's, handed on

    def reset_state(self) -> None:
        """Set the states of stateful layers to 0.

        Example:
            >>> from anabranch import layers
            >>> import numpy as np
            >>> layer = Bidirectional(layers.GRU(2, stateful=True))
            >>> y = layer(np.ones((1, 5, 3)))
            >>> layer.reset_state()
            >>> [state.numpy().sum().item() for state in layer.states]
            [0.0, 0.0]
        """
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state


del Bidirectional.weights  # an argument alone: the attribute is that of all layers


def _like(layer: RNN, prefix: str, *, backwards: bool = False) -> RNN:
    """Return a layer of the same settings with weights of its own, under a name that begins with ``prefix``."""
    twin = again(layer)
    twin._explicit_name_ = prefix + layer.name.removeprefix(prefix)
    twin.go_backwards = backwards or layer.go_backwards
    return twin


def _halves(states: list[Tensor]) -> list[list[Tensor]]:
    return [states[: len(states) // 2], states[len(states) // 2 :]]
