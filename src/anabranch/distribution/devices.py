"""The devices of this machine, and the processes that work together: one."""

from __future__ import annotations

import os

from anabranch import runtime
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, NotReadyError

_KINDS = ("cpu", "gpu", "tpu")
_VARIABLE = "KERAS_DISTRIBUTION_"
WAY_OUT = (
    "train model.to_torch() wrapped in torch.nn.parallel.DistributedDataParallel, or in torch.distributed.fsdp.fully_shard, "
    "in a script that torchrun starts"
)


@checked
def list_devices(device_type: str | None = None) -> list[str]:
    """Return the names of this machine's devices of one kind, such as ``["gpu:0", "gpu:1"]``.

    Args:
        device_type: ``"cpu"``, ``"gpu"`` (the accelerator, whose devices are called by torch's kind where it is not CUDA, as
            ``"mps:0"``) or ``"tpu"``, of which torch has none; the accelerator, else the CPU, unless given.

    Example:
        >>> list_devices("cpu")
        ['cpu:0']
    """
    if device_type is not None and device_type.lower() not in _KINDS:
        raise ArgumentError("Unknown kind of device.", expected="'cpu', 'gpu' or 'tpu'", got=shown(device_type))
    kind = None if device_type is None else device_type.lower()
    accelerator = runtime.accelerator()
    if kind == "cpu" or (kind is None and accelerator is None):
        return ["cpu:0"]
    if kind == "tpu" or accelerator is None:
        return []
    word = {"cuda": "gpu"}.get(accelerator.type, accelerator.type)
    return [f"{word}:{index}" for index in range(runtime.device_count(accelerator.type))]


@checked
def get_device_count(device_type: str | None = None) -> int:
    """Return how many devices of one kind this machine has.

    Args:
        device_type: as in ``list_devices``.

    Example:
        >>> get_device_count("cpu")
        1
    """
    return len(list_devices(device_type))


@checked
def initialize(job_addresses: str | None = None, num_processes: int | None = None, process_id: int | None = None) -> None:
    """Prepare for the processes that work together: with one there is nothing to do, more are refused.

    Args:
        job_addresses: where the processes are, separated by commas; ``$KERAS_DISTRIBUTION_JOB_ADDRESSES`` unless given.
        num_processes: how many there are; ``$KERAS_DISTRIBUTION_NUM_PROCESSES`` unless given.
        process_id: the index of this one; ``$KERAS_DISTRIBUTION_PROCESS_ID`` unless given.

    Raises:
        NotReadyError: there are several processes.

    Example:
        >>> initialize(num_processes=1, process_id=0)
    """
    addresses = job_addresses or os.environ.get(f"{_VARIABLE}JOB_ADDRESSES", "")
    jobs = [each for each in addresses.split(",") if each.strip()]
    count = _given("NUM_PROCESSES", num_processes)
    count = max(len(jobs), 1) if count is None else count
    index = _given("PROCESS_ID", process_id) or 0
    if count < 1 or not 0 <= index < count:
        raise ArgumentError(
            "process_id must be an index of a process.",
            expected="0 ≤ process_id < num_processes",
            got=f"process_id={index}, num_processes={count}",
        )
    if max(count, len(jobs)) > 1:
        raise NotReadyError(
            "Training in several connected processes is not supported yet.",
            expected="one process",
            got=f"num_processes={count}, job_addresses={shown(addresses)}",
            repair=WAY_OUT,
        )


def _given(name: str, value: int | None) -> int | None:
    """Return an argument, or what the environment says in its place."""
    text = os.environ.get(f"{_VARIABLE}{name}")
    if value is not None or text is None:
        return value
    try:
        return int(text)
    except ValueError as error:
        raise ArgumentError(f"${_VARIABLE}{name} must be an integer.", got=shown(text)) from error
