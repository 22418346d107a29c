"""The order of samples is a function of seed, fit and epoch alone."""

from __future__ import annotations

import pytest
import torch
from devices import equal

from anabranch import config
from anabranch._errors import ArgumentError
from anabranch.training.data import shuffling


def order(**changes):
    return shuffling.permutation(**{"count": 100, "shuffle": True, "batch_size": 8, "fit": 0, "epoch": 0} | changes)


def test_an_order_holds_each_sample_once():
    assert sorted(order().tolist()) == list(range(100))


def test_seed_fit_and_epoch_each_change_the_order():
    config.set_seed(1)
    first = order()
    assert equal(first, order())
    assert not equal(first, order(epoch=1))
    assert not equal(first, order(fit=1))
    config.set_seed(2)
    assert not equal(first, order())
    config.set_seed(1)
    assert equal(first, order())


def test_other_generators_do_not_matter_and_are_not_touched():
    config.set_seed(1)
    torch.manual_seed(5)
    first = order()
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert equal(drawn, torch.rand(3))
    assert equal(first, order())


def test_unshuffled_data_need_no_order():
    assert order(shuffle=False) is None


def test_whole_batches_are_shuffled_on_request():
    found = order(shuffle="batch")
    blocks = found[:96].reshape(12, 8)
    assert (blocks - blocks[:, :1] == torch.arange(8)).all()
    assert found[96:].tolist() == [96, 97, 98, 99]
    assert sorted(found.tolist()) == list(range(100))


def test_fits_are_counted_from_each_seeding():
    config.set_seed(1)
    assert [shuffling.next_fit(), shuffling.next_fit()] == [0, 1]
    config.set_seed(1)
    assert shuffling.next_fit() == 0


def test_unknown_shuffle_is_refused():
    with pytest.raises(ArgumentError):
        shuffling.check_shuffle("batches")
