"""Tables of Hugging Face's ``datasets``: columns as inputs and labels, loaders over them, what is refused with the way."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import layers
from anabranch._errors import DataError

ROWS = 12


def table() -> Any:
    pytest.importorskip("datasets.arrow_dataset", reason="datasets is in no extra")  # tests/datasets is no such package
    datasets = sys.modules["datasets"]
    rng = np.random.default_rng(0)
    return datasets.Dataset.from_dict(
        {"a": rng.normal(size=(ROWS, 2)).tolist(), "b": rng.normal(size=(ROWS, 1)).tolist(), "label": [0, 1, 2] * 4}
    )


def model_of_two() -> ab.Model:
    ab.utils.set_random_seed(0)
    a, b = ab.Input((2,), name="a"), ab.Input((1,), name="b")
    model = ab.Model({"a": a, "b": b}, layers.Dense(3, activation="softmax")(layers.Concatenate()([a, b])))
    model.compile(ab.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    return model


def losses(x: Any, y: Any = None, **more: Any) -> list[float]:
    found: list[float] = model_of_two().fit(x, y, epochs=3, verbose=0, **more).history["loss"]
    return found


@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_columns(form: str) -> None:
    ds = table()
    plain = ds.to_dict()
    x = {name: np.array(plain[name], "float32") for name in "ab"}
    expected = losses(x, np.array(plain["label"]), batch_size=4, shuffle=True)
    ds.set_format(form)
    data = ds[:]
    labels = data.pop("label")
    assert losses(data, labels, batch_size=4, shuffle=True) == pytest.approx(expected)
    assert losses({"a": ds["a"][:], "b": ds["b"][:]}, ds["label"][:], batch_size=4, shuffle=True) == pytest.approx(expected)
    assert model_of_two().predict(data, verbose=0).shape == (ROWS, 3)
    assert model_of_two().evaluate(data, labels, verbose=0) > 0


def test_a_loader() -> None:
    def collated(rows: list[dict[str, Any]]) -> tuple[Any, Any]:
        return {name: torch.stack([row[name] for row in rows]) for name in "ab"}, torch.stack([row["label"] for row in rows])

    ds = table().with_format("torch")
    loader = torch.utils.data.DataLoader(ds, batch_size=4, collate_fn=collated)
    x = {name: ds[name][:] for name in "ab"}
    assert losses(loader) == pytest.approx(losses(x, ds["label"][:], batch_size=4, shuffle=False))


def test_a_stream() -> None:
    def batches() -> Any:
        for batch in table().to_iterable_dataset().with_format("numpy").batch(4):
            labels = batch.pop("label")
            yield {name: np.stack(value).astype("float32") for name, value in batch.items()}, labels

    (loss,) = model_of_two().fit(batches(), epochs=1, verbose=0).history["loss"]
    assert loss > 0


def test_what_is_refused_names_the_way() -> None:
    ds = table()
    datasets = sys.modules["datasets"]
    for x, way in (
        (ds, r"with_format\(\"numpy\"\)\[:\]"), (ds.with_format("torch"), "with_format"), ({"a": ds["a"]}, "name"),
        (datasets.DatasetDict({"train": ds}), 'ds = ds\\["train"\\]'), (ds.to_iterable_dataset(), "generator"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=way):
            model_of_two().fit(x, verbose=0)
        with pytest.raises(DataError, match=way):
            model_of_two().predict(x, verbose=0)


def test_a_table_is_refused_where_the_package_is_not_there() -> None:
    made = types.new_class("Dataset", exec_body=lambda body: body.update(__module__="datasets.arrow_dataset"))
    with pytest.raises(DataError, match="Hugging Face"):
        model_of_two().fit(made(), verbose=0)
