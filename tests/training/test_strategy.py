"""Where a model trains: one device for now, and nothing else by accident."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import anabranch as ab
from anabranch._errors import NotReadyError
from anabranch.training import SingleDevice
from anabranch.training.executor import Executor

X, Y = np.ones((8, 4), "float32"), np.zeros(8, int)


def test_several_processes_are_refused_with_the_way_out(classifier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier()
    monkeypatch.setenv("WORLD_SIZE", "2")
    step = model.make_train_function()
    for train in (lambda: model.fit(X, Y, verbose=0), lambda: model.train_on_batch(X, Y), lambda: step([(X, Y)])):
        with pytest.raises(NotReadyError, match=r"WORLD_SIZE=2(.|\n)*DistributedDataParallel") as caught:
            train()
        assert "os.environ.pop" in str(caught.value)
    assert model.optimizer.iterations == 0
    model.predict(X, verbose=0)
    monkeypatch.setenv("WORLD_SIZE", "1")
    model.fit(X, Y, verbose=0)


def test_a_process_group_is_refused_too(classifier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 4)
    with pytest.raises(NotReadyError, match=r"world_size=4(.|\n)*DistributedDataParallel"):
        model.fit(X, Y, verbose=0)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    model.fit(X, Y, verbose=0)


def torchrun(script: Path, folder: Path) -> None:
    """Run a script in two processes, each given the path in the folder to which it adds its rank."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
        str(folder / "rank"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="torchrun is tried on Linux")
def test_torchrun_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\nimport numpy as np\nimport anabranch as ab\n"
        "model = ab.Sequential([ab.Input((4,)), ab.layers.Dense(1)])\nmodel.compile('sgd', 'mse')\n"
        "try:\n    model.fit(np.ones((4, 4)), np.ones((4, 1)), verbose=0)\n"
        "except RuntimeError as error:\n    open(sys.argv[1] + os.environ['RANK'], 'w').write(str(error))\n"
    )
    torchrun(script, tmp_path)
    assert all("WORLD_SIZE=2" in (tmp_path / f"rank{rank}").read_text() for rank in (0, 1))


class Counting(SingleDevice):
    """Counts what training asks."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self.reduced = self.placed = 0
        self.writes = False

    def place(self, batch: Any) -> Any:
        self.placed += 1
        return super().place(batch)

    def reduce_gradients(self) -> None:
        self.reduced += 1


@pytest.mark.parametrize("custom", [False, True])
def test_training_asks_the_strategy_of_its_model(custom: bool, capsys: Any) -> None:
    strategy = Counting()

    class Distributed(ab.Model):
        _training_strategy_ = strategy

    class Custom(Distributed):
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    ab.config.set_device("cpu")
    try:
        inputs = ab.Input((4,))
        model = (Custom if custom else Distributed)(inputs, ab.layers.Dense(3)(inputs))
        model.compile("sgd", ab.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(X, Y, batch_size=4, epochs=2, verbose=2)
    finally:
        ab.config.set_device(None)
    assert strategy.reduced == 4
    assert capsys.readouterr().out == "", "another process writes"


def test_an_executor_notices_what_has_changed(classifier: Any) -> None:
    model = classifier()
    executor = Executor(model, True, model._training_strategy_)
    program = executor.program
    assert not executor.refresh()
    model.layers[1].trainable = False
    assert executor.refresh()
    assert executor.program is not program
    model.run_eagerly = True
    assert executor.refresh()
    assert not executor.refresh()


def test_a_layer_frozen_between_steps_stays_from_the_next_step_on(classifier: Any) -> None:
    class Freezing(ab.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 0:
                self.model.layers[1].trainable = False
            self.kernels = [*getattr(self, "kernels", []), self.model.layers[1].get_weights()[0]]

    model, noting = classifier(), Freezing()
    model.fit(X, Y, batch_size=2, verbose=0, callbacks=noting)
    assert all((kernel == noting.kernels[0]).all() for kernel in noting.kernels)


@pytest.mark.skipif(sys.platform != "linux", reason="torchrun is tried on Linux")
@pytest.mark.parametrize("wrapped", ["model", "model.to_torch()"])
def test_a_loop_of_the_users_own_trains_one_model_in_several_processes(tmp_path: Path, wrapped: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nimport torch\nimport anabranch as ab\n"
        "torch.distributed.init_process_group('gloo')\nrank = torch.distributed.get_rank()\n"
        "ab.utils.set_random_seed(rank)\nab.config.set_device('cpu')\n"
        "model = ab.Sequential([ab.Input((4,)), ab.layers.Dense(3), ab.layers.Dense(1)])\n"
        f"module = torch.nn.parallel.DistributedDataParallel({wrapped})\n"
        "optimizer = torch.optim.SGD(module.parameters(), lr=0.01)\nx = torch.full((8, 4), rank + 1.0)\n"
        "for _ in range(3):\n    optimizer.zero_grad()\n    module(x).square().mean().backward()\n    optimizer.step()\n"
        "open(sys.argv[1] + str(rank), 'w').write(str([w.tolist() for w in model.get_weights()]))\n"
        "torch.distributed.destroy_process_group()\n"
    )
    torchrun(script, tmp_path)
    first, second = ((tmp_path / f"rank{rank}").read_text() for rank in range(2))
    assert first == second
