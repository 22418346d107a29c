"""What people put around modules: torch's own tools, torchinfo, PEFT, torchao, Lightning, MLflow, on models of four kinds.

Packages that are in no extra are tried where they are installed.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode
from torch_models import MODELS, close, data, leaves, resnet50

import anabranch as ab
from anabranch import layers

pytestmark = pytest.mark.on_cpu  # quantizers, gloo's processes, a trainer for the CPU
KINDS = {**MODELS, "resnet50": resnet50}
LARGE = pytest.param("resnet50", marks=pytest.mark.slow)
TRIED = pytest.mark.parametrize("name", ["resnet", "towers", "transformer", LARGE])


def made(name: str) -> tuple[Any, nn.Module, list[torch.Tensor]]:
    model = KINDS[name]()
    return model, copy.deepcopy(model.to_torch()), data(model, 2)


def weighted(module: nn.Module) -> dict[str, nn.Module]:
    return {path: inner for path, inner in module.named_modules() if isinstance(inner, (nn.Linear, nn.Conv2d))}


@TRIED
def test_hooks_fire_on_every_module(name: str) -> None:
    _, module, tensors = made(name)
    seen = set()
    for path, inner in module.named_modules():
        inner.register_forward_hook(lambda *_, path=path: seen.add(path))
    module(*tensors)
    assert seen == set(dict(module.named_modules()))


@TRIED
def test_torchinfo_and_the_counter_of_flops(name: str) -> None:
    torchinfo = pytest.importorskip("torchinfo")
    model, module, tensors = made(name)
    shown = torchinfo.summary(module, input_data=tensors, verbose=0)
    assert {path.rpartition(".")[2] for path in weighted(module)} <= {row.var_name for row in shown.summary_list}
    assert shown.total_params == sum(weight.size for weight in model.trainable_weights)
    with FlopCounterMode(display=False) as counter:
        module(*tensors)
    assert counter.get_total_flops() > 0


@TRIED
def test_pruning(name: str) -> None:
    _, module, tensors = made(name)
    places = [(inner, "weight") for inner in weighted(module).values()]
    prune.global_unstructured(places, prune.L1Unstructured, amount=0.3)
    module(*tensors)
    for inner, _ in places:
        prune.remove(inner, "weight")
    zeros = sum(int((inner.weight == 0).sum()) for inner, _ in places)
    assert zeros == pytest.approx(0.3 * sum(inner.weight.numel() for inner, _ in places), abs=1)


@TRIED
@pytest.mark.filterwarnings("ignore")
def test_int8(name: str) -> None:
    _, module, tensors = made(name)
    quantized = torch.ao.quantization.quantize_dynamic(copy.deepcopy(module), {nn.Linear}, torch.qint8)
    linear = sum(isinstance(inner, nn.Linear) for inner in module.modules())
    assert sum(isinstance(inner, torch.ao.nn.quantized.dynamic.Linear) for inner in quantized.modules()) == linear
    close(quantized(*tensors), module(*tensors), 0.2)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [LARGE])
def test_a_large_model_is_exported_scripted_traced_compiled(name: str) -> None:
    model, module, tensors = made(name)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(module, tuple(tensors), dynamic_shapes={key: {0: batch} for key in model.input_names})
    close(exported.module()(*data(model, 3)), module(*data(model, 3)), 1e-4)
    expected = module(*tensors)
    close(torch.jit.script(module)(*tensors), expected)
    close(torch.fx.symbolic_trace(module)(*tensors), expected)
    close(torch.compile(module, fullgraph=True, backend="aot_eager")(*tensors), expected, 1e-4)


@TRIED
@pytest.mark.filterwarnings("ignore")
def test_quantized_by_torchao(name: str) -> None:
    pt2e = pytest.importorskip("torchao.quantization.pt2e.quantize_pt2e", reason="torchao is in no extra")
    x86 = pytest.importorskip("torchao.quantization.pt2e.quantizer.x86_inductor_quantizer")
    _, module, tensors = made(name)
    quantizer = x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = pt2e.prepare_pt2e(torch.export.export(module, tuple(tensors)).module(), quantizer)
    prepared(*tensors)
    quantized = pt2e.convert_pt2e(prepared)
    assert sum("quantize_per" in str(node.target) for node in quantized.graph.nodes) >= 2 * len(weighted(module))
    close(quantized(*tensors), module(*tensors), 0.3)


@TRIED
@pytest.mark.filterwarnings("ignore")
def test_lora_by_peft(name: str) -> None:
    peft = pytest.importorskip("peft", reason="peft is in no extra: it brings transformers")
    _, module, tensors = made(name)
    expected = module(*tensors)
    adapted = peft.get_peft_model(module, peft.LoraConfig(target_modules=list(weighted(module)), r=2))
    close(adapted(*tensors), expected)
    trained = {path for path, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("lora" in path for path in trained)
    sum(leaf.sum() for leaf in leaves(adapted(*tensors))).backward()
    close(adapted.merge_and_unload()(*tensors), expected)


SHARDED = """
import os, sys
import torch
import torch.multiprocessing as mp
from torch.distributed import destroy_process_group, init_process_group
from torch.distributed.fsdp import fully_shard

def leaves(result):
    return list(result.values()) if isinstance(result, dict) else [result]

def run(rank, folder):
    os.environ.update(RANK=str(rank), WORLD_SIZE="2")
    sys.path.insert(0, folder)
    import model_file
    init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    tensors, expected, stepped = torch.load(f"{folder}/data.pt")
    module = vars(model_file)[sys.argv[2]]().eval()
    module.load_state_dict(torch.load(f"{folder}/state.pt"))
    for child in module.children():
        fully_shard(child)
    fully_shard(module)
    optimizer = torch.optim.SGD(module.parameters(), 0.01)
    for wanted in (expected, stepped):
        found = leaves(module(*tensors))
        for value, other in zip(found, wanted):
            torch.testing.assert_close(value, other, rtol=1e-3, atol=1e-3)
        sum(value.sum() for value in found).backward()
        optimizer.step()
        optimizer.zero_grad()
    destroy_process_group()

if __name__ == "__main__":
    mp.spawn(run, (sys.argv[1],), nprocs=2)
"""


@pytest.mark.parametrize(
    "name",
    ["resnet", pytest.param("towers", marks=pytest.mark.slow), pytest.param("transformer", marks=pytest.mark.slow), LARGE],
)
def test_children_are_sharded_between_two_processes(name: str, tmp_path: Path) -> None:
    if not hasattr(torch.cpu.Stream, "record_event"):
        pytest.skip("fully_shard of this torch asks a CPU stream for events, which it lacks")
    if torch.__version__.startswith("2.8."):
        pytest.skip("fully_shard of torch 2.8 on CPUs trains a plain torch.nn.Sequential to other weights, too")
    model = KINDS[name]()
    module, tensors = model.to_torch(source=tmp_path / "model_file.py"), data(model, 2)
    torch.save(module.state_dict(), tmp_path / "state.pt")
    expected = leaves(module(*tensors))
    optimizer = torch.optim.SGD(module.parameters(), 0.01)
    sum(value.sum() for value in expected).backward()
    optimizer.step()
    results = [[value.detach() for value in found] for found in (expected, leaves(module(*tensors)))]
    torch.save((tensors, *results), tmp_path / "data.pt")
    (tmp_path / "run.py").write_text(SHARDED)
    command = [sys.executable, "-W", "ignore", tmp_path / "run.py", tmp_path, type(module).__name__]
    subprocess.run(command, check=True, timeout=600)


def regression() -> tuple[ab.Model, torch.Tensor, torch.Tensor]:
    inputs = ab.Input((4,))
    x = layers.BatchNormalization()(layers.Dense(8, activation="relu")(inputs))
    torch.manual_seed(0)
    x_train = torch.randn(64, 4)
    return ab.Model(inputs, layers.Dense(1)(x), name="net"), x_train, x_train.sum(1, keepdim=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("whole", [False, True], ids=["to_torch", "model"])
def test_lightning(whole: bool, tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning", reason="lightning is in no extra")
    model, x, y = regression()

    class Task(lightning.LightningModule):  # type: ignore[misc]  # where it is installed
        def __init__(self, net: Any) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return nn.functional.mse_loss(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), 0.05)

    task = Task(model if whole else model.to_torch().train())
    trainer = lightning.Trainer(
        max_epochs=4, accelerator="cpu", default_root_dir=tmp_path, enable_progress_bar=False, logger=False,
        enable_model_summary=not whole,  # it registers hooks
    )  # fmt: skip
    before = float(np.square(model.predict(x.numpy(), verbose=0) - y.numpy()).mean())
    trainer.fit(task, DataLoader(TensorDataset(x, y), batch_size=16))
    after = float(np.square(model.predict(x.numpy(), verbose=0) - y.numpy()).mean())
    assert after < before
    assert not np.allclose(model.get_layer("batch_normalization").moving_mean.numpy(), 0)
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    other = regression()[0]
    loaded = Task.load_from_checkpoint(tmp_path / "task.ckpt", net=other if whole else other.to_torch(), weights_only=True)
    close(loaded.eval().net(x), task.eval().net(x))
    close(torch.from_numpy(other.predict(x.numpy(), verbose=0)), torch.from_numpy(model.predict(x.numpy(), verbose=0)))


@pytest.mark.filterwarnings("ignore")
def test_mlflow(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is in no extra")
    model, x, _ = regression()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("tried", artifact_location=str(tmp_path / "artifacts")))
    module = model.to_torch()
    with mlflow.start_run():
        logged = mlflow.pytorch.log_model(module, name="net", serialization_format="pickle", pip_requirements=[])
    close(mlflow.pytorch.load_model(logged.model_uri)(x), module(x))
    loaded = mlflow.pyfunc.load_model(logged.model_uri)
    np.testing.assert_allclose(loaded.predict(x.numpy()), module(x).detach().numpy(), rtol=1e-5)
