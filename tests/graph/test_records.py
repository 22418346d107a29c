"""The records: what is known of a symbolic tensor, and specs as the leaves of a nest."""

from __future__ import annotations

import pytest

import anabranch as ab
from anabranch import layers
from anabranch.graph import Operation, Spec, Window, map_specs, spec_leaves


def test_a_tensor_knows_shape_dtype_name_and_origin() -> None:
    x = ab.Input((4, 3), name="x", dtype="int32")
    assert (x.shape, x.dtype, x.name, x.ndim, x.spec) == ((None, 4, 3), "int32", "x", 3, Spec((None, 4, 3), "int32"))
    assert repr(x).startswith("<Tensor shape=(None, 4, 3) dtype=int32 from x at test_records.py:")


def test_specs_are_leaves() -> None:
    a, b = Spec((None, 1), "float32"), Spec((None, 2), "float32")
    nest = {"p": [a, b], "q": (a,)}
    assert spec_leaves(nest) == [a, b, a]
    assert map_specs(lambda spec: spec.shape[-1], nest) == {"p": [1, 2], "q": (1,)}


def test_every_node_applies_an_operation_with_all_members() -> None:
    import torch

    x = ab.Input((4, 4, 3), name="image")
    linear = torch.nn.Linear(3, 3)(x)
    tensors = [
        x,
        layers.Conv2D(3, 3, padding="same")(x),
        x + 1,
        x[:, 0],
        torch.relu(x),
        linear,
        ab.Model(x, layers.ReLU()(x))(x),
    ]
    for tensor in tensors:
        operation = tensor.node.operation
        assert isinstance(operation, Operation)
        assert operation._is_source_ is (not tensor.node.inputs)
        assert all([operation._error_label_(), operation._kind_name_(), operation._base_name_, operation.name])
    assert [tensor.node.operation._is_function_ for tensor in tensors] == [False, False, True, True, True, False, False]
    assert [tensor.node.operation._local_window_() for tensor in tensors[:3]] == [None, Window((1, 1), "same"), None]
    assert [tensor.node.operation._axis_layout_() for tensor in tensors[:3]] == [None, "channels_last", None]
    assert tensors[-1].node.operation._graph_ is not None


def test_an_operation_without_its_members_cannot_be_made() -> None:
    class Half(Operation):
        @property
        def name(self) -> str:
            return "half"

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]
