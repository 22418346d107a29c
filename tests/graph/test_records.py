"""The records: what a tensor without numbers tells, and specs as the leaves of a nest."""

from __future__ import annotations

import anabranch as ab
from anabranch.graph import Spec, map_specs, spec_leaves


def test_a_tensor_tells_shape_dtype_name_and_origin() -> None:
    x = ab.Input((4, 3), name="x", dtype="int32")
    assert (x.shape, x.dtype, x.name, x.ndim, x.spec) == ((None, 4, 3), "int32", "x", 3, Spec((None, 4, 3), "int32"))
    assert repr(x).startswith("<Tensor shape=(None, 4, 3) dtype=int32 from x at test_records.py:")


def test_specs_are_leaves() -> None:
    a, b = Spec((None, 1), "float32"), Spec((None, 2), "float32")
    nest = {"p": [a, b], "q": (a,)}
    assert spec_leaves(nest) == [a, b, a]
    assert map_specs(lambda spec: spec.shape[-1], nest) == {"p": [1, 2], "q": (1,)}


# layer.output and layer.input
