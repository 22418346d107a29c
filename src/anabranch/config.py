"""Settings of the process: float type, image layout, device, data folder, and the seed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from anabranch import _process
from anabranch._errors import ArgumentError, ArgumentTypeError
from anabranch._policy import FLOATS, DTypePolicy

if TYPE_CHECKING:
    from pathlib import Path

ImageFormat = Literal["channels_last", "channels_first"]
KeepMemory = Literal["fit", "always", "never"]

_floatx = "float32"
_policy: DTypePolicy | None = None
_tf32: bool | None = None
_epsilon = 1e-7
_image_data_format: ImageFormat = "channels_last"
_device: str | None = None
_seed: int | None = None
_strict_merges = True
_keep_memory: KeepMemory = "fit"


def floatx() -> str:
    """Return the default float type, as in ``keras.config.floatx``."""
    return _floatx


def set_floatx(value: str) -> None:
    """Set the default float type: one of float16, bfloat16, float32, float64."""
    global _floatx
    if value not in FLOATS:
        raise ArgumentError("Unknown float type.", expected=f"one of {', '.join(FLOATS)}", got=repr(value))
    _floatx = value


def dtype_policy() -> DTypePolicy:
    """Return the precision policy of layers that are given none; ``floatx`` for both types unless set."""
    return _policy or DTypePolicy(_floatx)


def set_dtype_policy(policy: str | DTypePolicy) -> None:
    """Set the precision policy of layers made from now on, e.g. ``"mixed_bfloat16"``.

    Raises:
        ArgumentError: there is no such policy.
        ArgumentTypeError: neither a name nor a policy.
    """
    global _policy
    _policy = policy if isinstance(policy, DTypePolicy) else DTypePolicy(policy)


def tf32() -> bool | None:
    """Return whether CUDA may round the factors of float32 products to 10 bits; None, the default, leaves it to torch."""
    return _tf32


def set_tf32(allowed: bool | None) -> None:
    """Say whether CUDA may multiply float32 matrices and convolutions in TF32: several times faster, errors near 1e-3.

    None leaves it to torch, which allows it for convolutions and not for matrix products. A CPU does not know TF32.
    """
    global _tf32
    if allowed is not None and not isinstance(allowed, bool):
        raise ArgumentTypeError("TF32 is allowed or not.", expected="True, False or None", got=repr(allowed))
    _tf32 = allowed
    _process.note_change()


def epsilon() -> float:
    """Return the small number that keeps divisions and logarithms finite (1e-7 unless set)."""
    return _epsilon


def set_epsilon(value: float) -> None:
    """Set the small number that keeps divisions and logarithms finite."""
    global _epsilon
    _epsilon = float(value)


def image_data_format() -> ImageFormat:
    """Return where the channels of an image stand unless a layer says otherwise: ``channels_last`` unless set."""
    return _image_data_format


def set_image_data_format(value: str) -> None:
    """Set the default place of the channels: ``channels_last`` (B H W C) or ``channels_first`` (B C H W)."""
    global _image_data_format
    _image_data_format = check_data_format(value)


def check_data_format(value: str | None) -> ImageFormat:
    """Return a valid image layout; None means the default."""
    if value is None:
        return _image_data_format
    if value == "channels_last":
        return "channels_last"
    if value == "channels_first":
        return "channels_first"
    raise ArgumentError("Unknown data_format.", expected="'channels_last' or 'channels_first'", got=repr(value))


def device() -> str | None:
    """Return the device asked for, or None where the engine chooses (CUDA if there, else CPU)."""
    return _device


def set_device(name: str | None) -> None:
    """Choose where weights and batches live, e.g. ``"cpu"``, ``"cuda"``, ``"cuda:1"``; None lets the engine choose.

    Weights that already have values are moved when they are next used.
    """
    global _device
    if name is not None and not isinstance(name, str):
        raise ArgumentTypeError("A device is named by a string.", expected="'cpu' or 'cuda'", got=repr(name))
    _device = name
    _process.note_change()


def strict_merges() -> bool:
    """Return whether a merge that stretches a branch without being asked to is an error; else it is a warning."""
    return _strict_merges


def set_strict_merges(strict: bool) -> None:
    """Say whether ``add``, ``average``, … of unequal shapes without ``broadcast=True`` is an error.

    Else it is a warning with the user's line, as under ``anabranch run``, since Keras stretches in silence.
    """
    global _strict_merges
    _strict_merges = bool(strict)


def keep_memory() -> KeepMemory:
    """Return when freed memory is kept for the next step: ``fit`` unless set."""
    return _keep_memory


def set_keep_memory(when: KeepMemory) -> None:
    """Say when the C library keeps freed memory for the next step instead of giving it back to the system.

    ``"fit"``: while ``fit``, and ``evaluate`` and ``predict`` of several batches, run; given back at their end. ``"always"``:
    from the first of them to the end of the process. ``"never"``: the C library is left alone. Concerns the CPU under glibc
    (most of Linux); elsewhere, and where the environment chooses an allocator or its settings (``MALLOC_…``,
    ``GLIBC_TUNABLES``, ``LD_PRELOAD``), nothing happens.
    """
    global _keep_memory
    if when not in ("fit", "always", "never"):
        raise ArgumentError("Unknown time to keep memory.", expected="'fit', 'always' or 'never'", got=repr(when))
    _keep_memory = when


def data_folder() -> Path:
    """Return the folder that downloaded data sets live in: ``$ANABRANCH_DATA``, or ``~/.cache/anabranch``."""
    from pathlib import Path

    chosen = os.environ.get("ANABRANCH_DATA")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "anabranch"


def seed() -> int:
    """Return the global seed; drawn from the operating system where none was set."""
    global _seed
    if _seed is None:
        _seed = int.from_bytes(os.urandom(4), "little")
    return _seed


def set_seed(value: int) -> None:
    """Set the global seed. ``utils.set_random_seed`` calls this; the engine's generators follow when they next run."""
    global _seed
    if isinstance(value, bool) or not isinstance(value, int):
        raise ArgumentTypeError("A seed is an integer.", expected="an int", got=repr(value))
    if not -(2**63) <= value < 2**64:
        raise ArgumentError("The seed is out of range.", expected="-2**63 to 2**64 - 1", got=repr(value))
    _seed = value
    _process.note_seeding()
