"""Pipelines: chained as tf.data chains them, taken by ``fit``; folders of pictures, texts and sounds; windows over series."""

from __future__ import annotations

import pickle
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch import Input, layers, utils
from anabranch._errors import ArgumentError, DataError, FileError, FileFormatError
from anabranch.pipelines.pipeline import AUTOTUNE, Pipeline

X = np.arange(20, dtype="float32").reshape(10, 2)
Y = X.sum(1, keepdims=True)


def samples() -> Pipeline:
    return Pipeline.from_tensor_slices((X, Y))


def values(pipeline: Any) -> list[Any]:
    return [item.tolist() for item in pipeline]


# Chains


def test_a_usual_chain() -> None:
    halved = samples().map(lambda x, y: (x / 2, y), num_parallel_calls=AUTOTUNE)
    chain = halved.cache().shuffle(100, seed=1).batch(4).prefetch(AUTOTUNE)
    assert (len(chain), chain.cardinality(), chain.take(2).cardinality(), chain.skip(1).cardinality()) == (3, 3, 2, 2)
    assert [len(x) for x, _ in chain] == [4, 4, 2]
    assert sorted(torch.cat([y for _, y in chain])[:, 0].tolist()) == Y[:, 0].tolist()
    assert chain.element_spec == (((4, 2), "float32"), ((4, 1), "float32"))
    x, y = next(chain.as_numpy_iterator())
    np.testing.assert_allclose(2 * x.sum(1, keepdims=True), y)


def test_order_is_that_of_the_elements_whatever_threads_do() -> None:
    assert values(Pipeline.range(50).map(lambda x: x * 2, num_parallel_calls=8)) == list(range(0, 100, 2))


def test_shuffling_follows_from_the_seed_and_the_pass() -> None:
    first, second = (Pipeline.range(30).shuffle(30, seed=3) for _ in range(2))
    one, other = values(first), values(first)
    assert sorted(one) == sorted(other) == list(range(30))
    assert one != other
    assert values(second) == one
    fixed = Pipeline.range(30).shuffle(30, seed=3, reshuffle_each_iteration=False)
    assert values(fixed) == values(fixed)
    near = values(Pipeline.range(30).shuffle(2))
    assert max(value - index for index, value in enumerate(near)) <= 1


def test_repeating_has_no_end() -> None:
    endless = Pipeline.range(3).repeat()
    assert endless.cardinality() == -1
    assert values(endless.take(7)) == [0, 1, 2, 0, 1, 2, 0]
    with pytest.raises(TypeError, match="no end"):
        len(endless)
    assert values(Pipeline.range(0).repeat()) == []
    assert values(Pipeline.range(2).repeat(2).skip(1)) == [1, 0, 1]


def test_batches_come_apart_again() -> None:
    assert values(Pipeline.range(5).batch(2).unbatch()) == [0, 1, 2, 3, 4]
    assert values(Pipeline.range(5).batch(2, drop_remainder=True)) == [[0, 1], [2, 3]]
    assert Pipeline.range(5).filter(lambda x: x > 1).cardinality() == -2
    assert values(Pipeline.range(2).concatenate(Pipeline.range(1))) == [0, 1, 0]


def test_what_is_cached_is_computed_once() -> None:
    calls: list[int] = []
    chain = Pipeline.range(3).map(lambda x: calls.append(1) or x).cache()
    next(iter(chain))
    assert values(chain) == values(chain)
    assert len(calls) == 4  # the pass that was broken off, and one whole


def test_nests_and_strings_and_mistakes() -> None:
    first = next(iter(Pipeline.from_tensor_slices({"a": X, "b": ["x"] * 10}).batch(3)))
    assert first["a"].shape == (3, 2)
    assert first["b"].tolist() == ["x"] * 3
    with pytest.raises(DataError):
        Pipeline.from_tensor_slices((X, Y[:3]))
    with pytest.raises(DataError, match="unequal shapes"):
        list(Pipeline(lambda: iter([torch.ones(2), torch.ones(3)]), 2).batch(2))
    for wrong in (lambda p: p.batch(0), lambda p: p.shuffle(0), lambda p: p.map(len, num_parallel_calls=-7)):
        with pytest.raises(ArgumentError):
            wrong(Pipeline.range(3))


def test_fit_takes_pipelines() -> None:
    ab.utils.set_random_seed(0)
    model = ab.Sequential([Input((2,)), layers.Dense(1)])
    model.compile(ab.optimizers.Adam(0.1), "mse")
    data = samples().shuffle(10).batch(5)
    history = model.fit(data, validation_data=samples().batch(5), epochs=30, verbose=0).history
    assert history["val_loss"][-1] < history["val_loss"][0] / 5
    assert model.predict(samples().batch(3), verbose=0).shape == (10, 1)
    model.fit(data.repeat(), steps_per_epoch=3, epochs=2, verbose=0)
    loss = model.evaluate(samples().batch(10), verbose=0)
    assert loss == pytest.approx(float(np.mean((model.predict(X, verbose=0) - Y) ** 2)), rel=1e-4)


# Folders


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three classes of two pictures, each of one grey, and of sizes of their own."""
    for number in range(6):
        folder = tmp_path / ("ape", "bee", "cow")[number // 2]
        folder.mkdir(exist_ok=True)
        utils.save_img(folder / f"{number}.png", np.full((4 + number, 6, 3), 20.0 * number), scale=False)
    (tmp_path / "bee" / "notes.md").write_text("no picture")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def test_pictures_in_folders(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = utils.image_dataset_from_directory(pictures, image_size=(8, 8), batch_size=4, shuffle=False)
    assert capsys.readouterr().out == "Found 6 files belonging to 3 classes.\n"
    assert data.class_names == ["ape", "bee", "cow"]
    assert [Path(path).name for path in data.file_paths] == [f"{number}.png" for number in range(6)]
    assert len(data) == 2
    (x, y), (rest, _) = data
    assert (x.shape, x.dtype, y.tolist(), y.dtype, len(rest)) == ((4, 8, 8, 3), torch.float32, [0, 0, 1, 1], torch.int32, 2)
    assert x[:, 0, 0, 0].tolist() == [0, 20, 40, 60]


def test_pictures_are_shuffled_with_their_labels(pictures: Path) -> None:
    data = utils.image_dataset_from_directory(pictures, image_size=(8, 8), seed=4, verbose=False)
    passes = [next(iter(data)) for _ in range(3)]
    for x, y in passes:
        assert (x[:, 0, 0, 0] // 40).tolist() == y.tolist()
    assert len({tuple(x[:, 0, 0, 0].tolist()) for x, _ in passes}) > 1
    again = utils.image_dataset_from_directory(pictures, image_size=(8, 8), seed=4, verbose=False)
    assert torch.equal(next(iter(again))[0], passes[0][0])


@pytest.mark.parametrize(("mode", "expected"), [
    ("int", [0, 1, 1]), ("categorical", [[1, 0], [0, 1], [0, 1]]), ("binary", [[0], [1], [1]]),
])  # fmt: skip
def test_kinds_of_labels(pictures: Path, mode: str, expected: Any) -> None:
    (pictures / "cow" / "4.png").unlink()
    options = {"image_size": (4, 4), "shuffle": False, "verbose": False, "class_names": ["cow", "ape"]}
    found = next(iter(utils.image_dataset_from_directory(pictures, label_mode=mode, **options)))
    assert found[1].tolist() == expected
    assert next(iter(utils.image_dataset_from_directory(pictures, label_mode=None, verbose=False))).shape == (5, 256, 256, 3)


def test_labels_that_are_given(pictures: Path) -> None:
    options = {"image_size": (4, 4), "shuffle": False, "verbose": False}
    data = utils.image_dataset_from_directory(pictures, labels=[3, 1, 3, 1, 3, 1], **options)
    assert data.class_names == ["1", "3"]
    assert next(iter(data))[1].tolist() == [3, 1, 3, 1, 3, 1]
    with pytest.raises(DataError, match="a label for each file"):
        utils.image_dataset_from_directory(pictures, labels=[1], **options)


def test_parts_for_training_and_validation(pictures: Path) -> None:
    options = {"image_size": (4, 4), "seed": 5, "validation_split": 0.34, "verbose": False}
    train, held = utils.image_dataset_from_directory(pictures, subset="both", **options)
    assert (len(train.file_paths), len(held.file_paths)) == (4, 2)
    assert not set(train.file_paths) & set(held.file_paths)
    alone = [utils.image_dataset_from_directory(pictures, subset=name, **options) for name in ("training", "validation")]
    assert [each.file_paths for each in alone] == [train.file_paths, held.file_paths]


def test_files_are_in_keras_s_order(pictures: Path, keras: Any) -> None:
    find = keras.src.utils.dataset_utils.index_directory
    paths, _, names = find(str(pictures), "inferred", (".png",), seed=7, verbose=False)
    data = utils.image_dataset_from_directory(pictures, seed=7, verbose=False)
    assert data.file_paths == paths
    assert data.class_names == names


def test_pictures_are_cropped_or_padded(pictures: Path) -> None:
    options = {"image_size": (4, 8), "shuffle": False, "verbose": False, "labels": None, "color_mode": "grayscale"}
    cropped = next(iter(utils.image_dataset_from_directory(pictures, crop_to_aspect_ratio=True, **options)))
    padded = next(iter(utils.image_dataset_from_directory(pictures, pad_to_aspect_ratio=True, **options)))
    assert cropped.shape == padded.shape == (6, 4, 8, 1)
    assert cropped[5].unique().tolist() == [100]
    assert 0 in padded[5].unique().tolist()
    assert next(iter(utils.image_dataset_from_directory(pictures, data_format="channels_first", **options))).shape == (
        6,
        1,
        4,
        8,
    )


@pytest.mark.parametrize(("options", "message"), [
    ({"label_mode": "many"}, "label_mode"), ({"label_mode": "binary"}, "two classes"), ({"color_mode": "cmyk"}, "color_mode"),
    ({"validation_split": 0.2}, "go together"), ({"subset": "both"}, "go together"),
    ({"interpolation": "mean"}, "nterpolation"),
    ({"validation_split": 0.2, "subset": "training"}, "divide the files differently"),
    ({"class_names": ["ape", "gnu"]}, "no folder"), ({"labels": "folders"}, "labels must be"),
    ({"labels": None, "class_names": ["ape"]}, "class_names"),
])  # fmt: skip
def test_arguments_that_do_not_fit(pictures: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        utils.image_dataset_from_directory(pictures, verbose=False, **options)


def test_folders_that_cannot_serve(tmp_path: Path, pictures: Path) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        utils.image_dataset_from_directory(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no files"):
        utils.text_dataset_from_directory(tmp_path / "empty")
    (pictures / "ape" / "0.png").write_bytes(b"cut")
    with pytest.raises(FileFormatError, match="no picture"):
        list(utils.image_dataset_from_directory(pictures, verbose=False))


def test_texts_in_folders(tmp_path: Path) -> None:
    for number in range(4):
        folder = tmp_path / ("neg", "pos")[number % 2]
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.txt").write_text(f"text {number} é", encoding="utf-8")
    texts, labels = next(iter(utils.text_dataset_from_directory(tmp_path, label_mode="binary", shuffle=False, verbose=False)))
    assert texts.tolist() == ["text 0 é", "text 2 é", "text 1 é", "text 3 é"]
    assert labels.tolist() == [[0], [0], [1], [1]]
    short = utils.text_dataset_from_directory(tmp_path, max_length=4, label_mode=None, verbose=False, batch_size=None)
    assert list(short) == ["text"] * 4


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_sounds_in_folders(tmp_path: Path, width: int) -> None:
    for number, length in enumerate((10, 16)):
        with wave.open(str(tmp_path / f"{number}.wav"), "wb") as file:
            file.setparams((2, width, 8000, 0, "NONE", ""))
            half = 192 if width == 1 else 2 ** (8 * width - 2)
            file.writeframes(half.to_bytes(width, "little") * 2 * length)
    options = {"labels": None, "shuffle": False, "verbose": False}
    batch = next(iter(utils.audio_dataset_from_directory(tmp_path, **options)))
    assert batch.shape == (2, 16, 2)
    assert batch[0, :, 0].tolist() == [0.5] * 10 + [0] * 6
    assert next(iter(utils.audio_dataset_from_directory(tmp_path, output_sequence_length=4, **options))).shape == (2, 4, 2)
    assert next(iter(utils.audio_dataset_from_directory(tmp_path, sampling_rate=4000, **options))).shape == (2, 8, 2)
    (tmp_path / "0.wav").write_bytes(b"RIFF")
    with pytest.raises(FileFormatError):
        list(utils.audio_dataset_from_directory(tmp_path, **options))


# Series


@pytest.mark.parametrize(("length", "stride", "rate", "start", "end"), [
    (3, 1, 1, 0, 20), (4, 2, 1, 0, 20), (3, 1, 2, 0, 20), (2, 3, 4, 5, 18), (1, 1, 1, 3, 9),
])  # fmt: skip
def test_windows_over_a_series(length: int, stride: int, rate: int, start: int, end: int) -> None:
    series, targets = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20)
    part = series[start:end]
    begins = range(0, min(len(part) - (length - 1) * rate, 20 - start), stride)
    x, y = np.stack([part[b : b + length * rate : rate] for b in begins]), np.array([start + b for b in begins])
    options = {"start_index": start, "end_index": end}
    data = utils.timeseries_dataset_from_array(series, targets, length, stride, rate, batch_size=3, **options)
    found = list(data)
    np.testing.assert_array_equal(np.concatenate([batch[0] for batch in found]), x)
    np.testing.assert_array_equal(np.concatenate([batch[1] for batch in found]), y)
    assert len(found) == len(data) == -(-len(y) // 3)
    shuffled = utils.timeseries_dataset_from_array(series, targets, length, stride, rate, None, shuffle=True, seed=2, **options)
    pairs = sorted((int(label), window.numpy().tobytes()) for window, label in shuffled)
    assert pairs == sorted((int(label), np.ascontiguousarray(window).tobytes()) for window, label in zip(x, y, strict=True))


@pytest.mark.parametrize("wrong", [
    {"sequence_length": 0}, {"sequence_length": 30}, {"sequence_stride": 20}, {"sampling_rate": 0}, {"start_index": 25},
    {"start_index": 5, "end_index": 5}, {"end_index": 21}, {"batch_size": 0},
])  # fmt: skip
def test_windows_that_do_not_fit(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        utils.timeseries_dataset_from_array(np.arange(20), None, **{"sequence_length": 3, **wrong})


def _halved(x: Any) -> Any:
    return x / 2


def _even(x: Any) -> bool:
    return bool(x % 2 == 0)


def test_pipelines_go_to_other_processes(tmp_path: Path) -> None:
    """With every step of theirs, as a DataLoader with workers sends them; the elements of a pass are the same there."""
    numbers = Pipeline.range(12)
    steps = [
        numbers.map(_halved), numbers.map(_halved, num_parallel_calls=2), numbers.filter(_even), numbers.batch(5, True),
        numbers.batch(4).unbatch(), numbers.prefetch(2), numbers.cache(), numbers.take(3), numbers.skip(3), numbers.take(-1),
        numbers.shuffle(4, seed=3), numbers.repeat(2), numbers.concatenate(numbers), Pipeline.zip((numbers, numbers)),
        numbers.enumerate(2), Pipeline.from_tensor_slices(np.arange(4)),
        ab.utils.timeseries_dataset_from_array(np.arange(9.0), np.arange(9.0), 3, shuffle=True, seed=1),
    ]  # fmt: skip
    for pipeline in steps:
        again = pickle.loads(pickle.dumps(pipeline))
        assert str(list(again)) == str(list(pipeline))
        assert again.cardinality() == pipeline.cardinality()
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(3):
            ab.utils.save_img(str(tmp_path / label / f"{number}.png"), np.full((4, 4, 3), 40.0 * number + ord(label)))
    settings: Any = {"image_size": (6, 6), "batch_size": 2, "seed": 1, "verbose": False}
    images = ab.utils.image_dataset_from_directory(tmp_path, **settings)
    plain = ab.utils.image_dataset_from_directory(tmp_path, label_mode=None, **settings)
    changed = plain.map(ab.layers.Pipeline([ab.layers.Rescaling(0.5), ab.layers.CenterCrop(4, 4)]))
    loader = torch.utils.data.DataLoader(changed, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    means = sorted(round(float(x.mean())) for batch in loader for x in batch)
    assert means == sorted(round(float(x.mean())) for batch in changed for x in batch)
    assert len(means) == 6
    assert pickle.loads(pickle.dumps(images)).class_names == ["a", "b"]
