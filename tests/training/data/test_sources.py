"""Every kind of source gives the same batches; they are bound, checked and cast."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import anabranch as ab
from anabranch import layers
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError
from anabranch.training.data.adapters import is_in_memory, source_for, split
from anabranch.training.data.binder import ModelBinder
from anabranch.training.data.epochs import Epochs
from anabranch.training.data.reading import Reading
from anabranch.training.data.targets import Target
from anabranch.training.strategy import SingleDevice
from anabranch.utils import unpack_x_y_sample_weight as unpack

X = np.arange(40, dtype="float32").reshape(10, 4)
Y = np.arange(10) % 3
CPU = SingleDevice(torch.device("cpu"))


class Samples(Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return X[index], Y[index]


class Flowing(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


def in_batches(size=4):
    for start in range(0, len(X), size):
        yield X[start : start + size], Y[start : start + size]


class Batches:
    """As Keras's PyDataset."""

    ended = 0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[index * 4 : index * 4 + 4], Y[index * 4 : index * 4 + 4]

    def on_epoch_end(self):
        self.ended += 1


class Anew:
    def __iter__(self):
        return in_batches()


@pytest.fixture
def binder(classifier):
    model = classifier()
    return ModelBinder(model, model._compiled_.targets, CPU)


def passed(source, epoch=0):
    found = list(source.batches(epoch))
    return (
        torch.cat([batch.x[0] for batch in found]).cpu().numpy(),
        torch.cat([batch.y[0] for batch in found]).cpu().numpy(),
        found,
    )


SOURCES = {
    "numpy": lambda: (X, Y),
    "torch": lambda: (torch.from_numpy(X), torch.from_numpy(Y)),
    "numbers": lambda: (X.tolist(), Y.tolist()),
    "listed": lambda: ([X], [Y]),
    "keyed": lambda: ({"features": X}, {"classes": Y}),
    "tensor dataset": lambda: (TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), None),
    "dataset": lambda: (Samples(), None),
    "iterable dataset": lambda: (Flowing(), None),
    "loader": lambda: (DataLoader(Samples(), batch_size=4), None),
    "generator": lambda: (in_batches(), None),
    "iterable": lambda: (Anew(), None),
    "sequence": lambda: (Batches(), None),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same_batches(binder, kind):
    x, y = SOURCES[kind]()
    source = source_for(binder, x, y, None, Reading(4))
    xs, ys, found = passed(source)
    np.testing.assert_array_equal(xs, X)
    np.testing.assert_array_equal(ys, Y)
    assert [batch.size for batch in found] == [4, 4, 2]
    assert source.steps in (3, None)
    assert source.once == (kind == "generator")


@pytest.mark.parametrize("kind", [kind for kind in SOURCES if "dataset" in kind or kind in ("numpy", "torch", "sequence")])
def test_shuffled_sources_give_each_sample_once_with_its_label(binder, kind):
    x, y = SOURCES[kind]()
    source = source_for(binder, x, y, None, Reading(4, shuffle=True))
    if kind != "iterable dataset":
        orders = {tuple(passed(source, epoch)[0][:, 0]) for epoch in range(8)}
        assert len(orders) > 1
    for _ in range(2):
        xs, ys, _ = passed(source, 1)
        np.testing.assert_array_equal(ys, Y[(xs[:, 0] / 4).astype(int)])
        assert sorted(xs[:, 0]) == sorted(X[:, 0])
    np.testing.assert_array_equal(xs, passed(source, 1)[0])


def test_the_end_of_an_epoch_is_called(binder):
    batches = Batches()
    passed(source_for(binder, batches, None, None, Reading(None)))
    assert batches.ended == 1


def test_images_stay_bytes_until_the_batch_and_labels_keep_their_type():
    inputs = ab.Input((2, 2, 1))
    model = ab.Model(inputs, layers.Dense(3)(layers.Flatten()(inputs)))
    binder = ModelBinder(model, [Target(True, None, (None, 3))], CPU)
    images = np.full((6, 2, 2, 1), 200, "uint8")
    labels = np.arange(6, dtype="uint8")
    data = binder.bind(images, labels, None)
    assert data.x[0].dtype == torch.uint8
    assert data.x[0].data_ptr() == images.__array_interface__["data"][0]
    for shuffle in (False, True):
        batch = next(source_for(binder, images, labels, None, Reading(4, shuffle=shuffle)).batches(0))
        assert batch.x[0].dtype == torch.float32
        assert float(batch.x[0].max()) == 200
        assert batch.y[0].dtype == torch.uint8


def test_a_last_axis_of_one_is_added_or_dropped_as_in_keras():
    inputs = ab.Input((5, 5, 1))
    model = ab.Model(inputs, layers.Flatten()(inputs))
    assert model.predict(np.zeros((3, 5, 5)), verbose=0).shape == (3, 25)
    inputs = ab.Input((5,))
    model = ab.Model(inputs, layers.Dense(2)(inputs))
    assert model.predict(np.zeros((3, 5, 1)), verbose=0).shape == (3, 2)


def test_weights_may_differ_for_each_output(forked):
    model = forked()
    model.compile("sgd", "mse")
    binder = ModelBinder(model, model._compiled_.targets, CPU)
    x, y = [np.zeros((4, 2)), np.zeros((4, 3))], [np.zeros((4, 3)), np.zeros((4, 1))]
    ones, twos = np.ones(4), np.full(4, 2)
    assert [w.tolist() for w in binder.bind(x, y, ones).weights] == [[1] * 4] * 2
    assert [w.tolist() for w in binder.bind(x, y, {"small": twos, "big": ones}).weights] == [[1] * 4, [2] * 4]
    assert [w.tolist() for w in binder.bind(x, y, [ones, twos]).weights] == [[1] * 4, [2] * 4]


def test_an_output_without_loss_needs_no_y(forked):
    model = forked()
    model.compile("sgd", {"big": None, "small": "mse"})
    x = [np.zeros((4, 2), "float32"), np.zeros((4, 3), "float32")]
    y = np.ones((4, 1), "float32")
    given = [y, [y], {"small": y}, [np.zeros((4, 3), "float32"), y]]
    losses = [model.evaluate(x, one, verbose=0) for one in given]
    assert len(set(losses)) == 1


@pytest.mark.parametrize("y", [Y, Y[:, None], np.eye(3)[Y], Y.astype("float32")])
def test_class_weights_are_sample_weights(classifier, y):
    model = classifier(loss=None, metrics=())
    binder = ModelBinder(model, [Target(True, None, (None, 3))], CPU, {0: 2.0, 2: 0.5})
    source = source_for(binder, X, y, None, Reading(10))
    expected = np.array([2.0, 1.0, 0.5])[Y]
    np.testing.assert_array_equal(next(source.batches(0)).weights[0].numpy(), expected)
    both = source_for(binder, X, y, np.arange(10), Reading(10))
    np.testing.assert_array_equal(next(both.batches(0)).weights[0].numpy(), expected * np.arange(10))


def test_the_split_holds_out_the_last_samples_and_class_weights_stay_with_training(classifier):
    model = classifier()
    binder = ModelBinder(model, model._compiled_.targets, CPU, {0: 3.0})
    train, held = split(binder, X, Y, None, 0.25, Reading(4, shuffle=True), Reading(4))
    assert (train.samples, held.samples) == (7, 3)
    np.testing.assert_array_equal(passed(held)[0], X[7:])
    assert next(held.batches(0)).weights == [None]
    assert next(train.batches(0)).weights[0] is not None


def test_batch_size_follows_from_steps(binder):
    assert source_for(binder, X, Y, None, Reading(None, steps=3)).steps == 3
    assert source_for(binder, X, Y, None, Reading(None)).steps == 1


def test_steps_continue_across_passes(binder):
    epochs = Epochs(source_for(binder, X, Y, None, Reading(4)), 2)
    found = [[int(batch.x[0][0, 0]) for batch in epochs.epoch(epoch)] for epoch in range(3)]
    assert found == [[0, 16], [32, 0], [16, 32]]
    assert not epochs.ran_out


def test_a_generator_goes_on_where_it_stopped(binder):
    epochs = Epochs(source_for(binder, in_batches(), None, None, Reading(None)), 2)
    assert len(list(epochs.epoch(0))) == 2
    assert len(list(epochs.epoch(1))) == 1
    assert epochs.ran_out


def test_what_is_in_memory():
    assert is_in_memory(X)
    assert is_in_memory([X, {"a": X}])
    assert not is_in_memory([])
    assert not is_in_memory(in_batches())


def test_batches_have_one_to_three_parts():
    assert unpack(X)[0] is X
    assert unpack([X, Y])[1] is Y
    with pytest.raises(DataError, match="4 parts"):
        unpack((1, 2, 3, 4))


def test_targets_beside_a_source_that_yields_them_are_refused(binder):
    with pytest.raises(ArgumentError, match="y cannot be given beside a generator"):
        source_for(binder, in_batches(), Y, None, Reading(None))


def test_a_function_is_no_source(binder):
    with pytest.raises(ArgumentTypeError, match="call it"):
        source_for(binder, in_batches, None, None, Reading(None))


@pytest.mark.parametrize("weights", [{"a": 1.0}, [1.0], {1: 1.0, "b": 2.0}])
def test_class_weights_are_keyed_by_class_index(classifier, weights):
    with pytest.raises(ArgumentTypeError, match="class_weight"):
        classifier().fit(X, Y, class_weight=weights, verbose=0)


def test_a_read_only_array_and_a_data_frame_are_data(classifier):
    class Frame:
        """As a pandas DataFrame."""

        shape = X.shape

        def __array__(self, dtype=None, copy=None):
            return X

    frozen = X.copy()
    frozen.flags.writeable = False
    model = classifier()
    np.testing.assert_array_equal(model.predict(Frame(), verbose=0), model.predict(frozen, verbose=0))


def test_the_users_numbers_are_never_changed(numbers):
    inputs = ab.Input((4,))
    x = layers.Activation("relu")(inputs)
    model = ab.Model(inputs, layers.Dense(2)(layers.ReLU()(x) if hasattr(layers, "ReLU") else x))
    model.compile("sgd", "mse")
    x, y = numbers(8, 4), numbers(8, 2)
    before = x.copy(), y.copy()
    model.fit(x, y, shuffle=False, verbose=0)
    model.predict(x, verbose=0)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


class Endless(ab.utils.PyDataset):
    """Says by its property how many batches there are, as Keras's documentation has it: there is no end."""

    count: int | None = None

    @property
    def num_batches(self):
        return self.count

    def __getitem__(self, index):
        return np.full((2, 4), 0.1 * index, "float32"), np.ones((2, 1), "float32")


@pytest.mark.parametrize("count", [3, None])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_data_set_may_say_its_length_by_num_batches(keras, count, workers):
    ends = []
    for library in (ab, keras):
        kind = type("Endless", (library.utils.PyDataset,), {**vars(Endless), "count": count})
        model = library.Sequential([library.Input((4,)), library.layers.Dense(1, kernel_initializer="ones")])
        model.compile("sgd", "mse")
        if library is keras and workers == 2:
            workers = 0  # whose threads leave batches out between epochs
        model.fit(kind(workers=workers), shuffle=False, epochs=2, steps_per_epoch=3, verbose=0)
        ends.append(model.get_weights()[0])
    np.testing.assert_allclose(*ends, atol=1e-6)
    assert len([batch for batch, _ in zip(kind(), range(3), strict=False)]) == 3


def test_data_without_end_need_a_number_of_steps(classifier):
    model = classifier()
    for run in (lambda: model.fit(Endless(), verbose=0), lambda: model.evaluate(Endless()), lambda: model.predict(Endless())):
        with pytest.raises(DataError, match=r"num_batches is None(.|\n)*steps"):
            run()
    assert model.predict(Endless(), steps=2, verbose=0).shape[0] == 4
    with pytest.raises(TypeError, match="has no length"):
        len(Endless())
