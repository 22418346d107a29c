"""Settings of the process: float type, precision, image layout, device, memory, data folder, seed, tracebacks."""

from __future__ import annotations

import math
import operator
import os
import re
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex

from anabranch import _frames, _process
from anabranch._asked import dtype_by_name, is_integer, is_number, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, unknown
from anabranch._frames import bound_methods, bounded
from anabranch._process import (
    disable_flash_attention,
    disable_interactive_logging,
    enable_flash_attention,
    enable_interactive_logging,
    is_flash_attention_enabled,
    is_interactive_logging_enabled,
)  # fmt: skip

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "check_data_format", "data_folder", "device", "disable_flash_attention", "disable_interactive_logging",
    "disable_op_determinism", "disable_traceback_filtering", "dtype_policy", "enable_flash_attention",
    "enable_interactive_logging", "enable_op_determinism", "enable_traceback_filtering", "epsilon", "floatx", "ignore_findings",
    "ignored_findings", "image_data_format", "is_flash_attention_enabled", "is_interactive_logging_enabled",
    "is_op_determinism_enabled", "is_traceback_filtering_enabled", "keep_memory", "seed", "set_device", "set_dtype_policy",
    "set_epsilon", "set_floatx", "set_image_data_format", "set_keep_memory", "set_seed", "set_strict_merges", "set_tf32",
    "strict_merges", "tf32",
]  # fmt: skip
__dir__ = __all__.copy

FloatType = Literal["float16", "bfloat16", "float32", "float64"]
ImageFormat = Literal["channels_last", "channels_first"]
KeepMemory = Literal["fit", "always", "never"]

FLOATS = ("float16", "bfloat16", "float32", "float64")
MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
INTEGERS = ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
DATA = (*FLOATS, *INTEGERS, "string")  # that inputs may be of
_DEVICES = ("cpu", "cuda", "gpu", "hpu", "ipu", "meta", "mps", "mtia", "npu", "privateuseone", "vulkan", "xla", "xpu")


@bound_methods
class DTypePolicy:
    """Name a float type to compute in and one for weights.

    ``"float32"``, ``"float64"``, … use one type for both. ``"mixed_bfloat16"`` and ``"mixed_float16"`` compute in 16 bits and
    hold weights, and so their updates, in float32 (Micikevicius et al. 2018).

    Args:
        name: a float type, or one of the mixed policies.

    Raises:
        UnknownNameError: there is no such policy.

    Example:
        >>> policy = DTypePolicy("mixed_bfloat16")
        >>> policy.compute_dtype, policy.variable_dtype
        ('bfloat16', 'float32')
    """

    def __init__(self, name: str) -> None:
        name = dtype_by_name(name)
        if not isinstance(name, str):
            raise ArgumentTypeError(
                "A precision policy's name must be a string.", expected="e.g. 'mixed_bfloat16'", got=repr(name)
            )
        if name not in MIXED and name not in DATA:
            raise unknown("precision policy", name, (*FLOATS, *MIXED))
        self.name = name

    @property
    def compute_dtype(self) -> str:
        """The type that layers compute in and return."""
        return MIXED.get(self.name, self.name)

    @property
    def variable_dtype(self) -> str:
        """The type of weights."""
        return "float32" if self.name in MIXED else self.name

    @property
    def quantization_mode(self) -> None:
        """None: quantized policies are not supported."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments.

        Example:
            >>> DTypePolicy("float32").get_config()
            {'name': 'float32'}
        """
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """Make a policy from what ``get_config`` returned.

        Args:
            config: the constructor's arguments.

        Example:
            >>> DTypePolicy.from_config({"name": "float32"})
            <DTypePolicy "float32">
        """
        if not isinstance(config, dict) or set(config) != {"name"}:
            raise ArgumentTypeError("The config of a dtype policy is a dict of its name.", got=shown(config))
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


_plain_policy = DTypePolicy("float32")  # of the default float type, for both
_policy: DTypePolicy | None = None
_tf32: bool | None = None
_epsilon = 1e-7
_image_data_format: ImageFormat = "channels_last"
_device: str | None = None
_seed: int | None = None
_strict_merges = True
_ignored_findings: tuple[str, ...] = ()
_keep_memory: KeepMemory = "fit"
_deterministic = False
_torchs_benchmark: bool | None = None  # whether cuDNN tried its algorithms before determinism was enabled


def floatx() -> str:
    """Return the default float type: ``float32`` unless set.

    Example:
        >>> floatx()
        'float32'
    """
    return _process.floatx()  # type: ignore[return-value]  # a float type


@bounded
def set_floatx(value: FloatType) -> None:
    """Set the default float type.

    Args:
        value: one of float16, bfloat16, float32, float64.

    Raises:
        ArgumentError: another value.

    Example:
        >>> set_floatx("float64")
        >>> floatx()
        'float64'
        >>> set_floatx("float32")
    """
    global _plain_policy
    name = dtype_by_name(value)
    if not isinstance(name, str) or name not in FLOATS:
        raise ArgumentError("Unknown float type.", expected=f"one of {', '.join(FLOATS)}", got=shown(value))
    _plain_policy = DTypePolicy(name)
    _process.set_floatx(name)


def dtype_policy() -> DTypePolicy:
    """Return the precision policy of layers without one of their own; ``floatx`` for both types unless set.

    Example:
        >>> dtype_policy().compute_dtype
        'float32'
    """
    return _policy or _plain_policy


@bounded
def set_dtype_policy(policy: str | DTypePolicy) -> None:
    """Set the precision policy of layers made from now on.

    Args:
        policy: a name such as ``"mixed_bfloat16"``, or a policy.

    Raises:
        ArgumentError: there is no such policy.
        ArgumentTypeError: neither a name nor a policy.

    Example:
        >>> set_dtype_policy("mixed_bfloat16")
        >>> dtype_policy().compute_dtype, dtype_policy().variable_dtype
        ('bfloat16', 'float32')
        >>> set_dtype_policy("float32")
    """
    global _policy
    _policy = policy if isinstance(policy, DTypePolicy) else DTypePolicy(policy)


def tf32() -> bool | None:
    """Return whether CUDA may round the factors of float32 products to 10 bits; None, the default, leaves it to torch.

    Example:
        >>> tf32() is None
        True
    """
    return _tf32


@bounded
def set_tf32(allowed: bool | None) -> None:
    """Allow or forbid TF32 in products and convolutions of float32 on CUDA: several times faster, errors near 1e-3.

    Args:
        allowed: None leaves it to torch, which allows it for convolutions and not for matrix products. A CPU has no TF32.

    Raises:
        ArgumentTypeError: another value.

    Example:
        >>> set_tf32(True)
        >>> tf32()
        True
        >>> set_tf32(None)
    """
    global _tf32
    if allowed is not None and not isinstance(allowed, bool):
        raise ArgumentTypeError("allowed must be True, False or None.", got=repr(allowed))
    _tf32 = allowed
    _process.note_change()


def epsilon() -> float:
    """Return the small number that keeps divisions and logarithms finite: 1e-7 unless set.

    Example:
        >>> epsilon()
        1e-07
    """
    return _epsilon


@bounded
def set_epsilon(value: float) -> None:
    """Set the small number that keeps divisions and logarithms finite.

    Args:
        value: a finite number > 0.

    Raises:
        ArgumentError: another number.

    Example:
        >>> set_epsilon(1e-5)
        >>> epsilon()
        1e-05
        >>> set_epsilon(1e-7)
    """
    global _epsilon
    if not is_number(value) or not 0 < float(value) < math.inf:
        raise ArgumentError("epsilon must be a finite number > 0.", got=shown(value))
    _epsilon = float(value)


def image_data_format() -> ImageFormat:
    """Return the default position of images' channels: ``channels_last`` unless set.

    Example:
        >>> image_data_format()
        'channels_last'
    """
    return _image_data_format


@bounded
def set_image_data_format(value: ImageFormat) -> None:
    """Set the default position of images' channels.

    Args:
        value: ``channels_last`` (B H W C) or ``channels_first`` (B C H W).

    Raises:
        ArgumentError: another value.

    Example:
        >>> set_image_data_format("channels_first")
        >>> image_data_format()
        'channels_first'
        >>> set_image_data_format("channels_last")
    """
    global _image_data_format
    _image_data_format = check_data_format(value)


@bounded
def check_data_format(value: str | None) -> ImageFormat:
    """Return a valid image layout.

    Args:
        value: ``channels_last``, ``channels_first``, or None for the default.

    Example:
        >>> check_data_format(None)
        'channels_last'
    """
    if value is None:
        return _image_data_format
    if isinstance(value, str) and value == "channels_last":
        return "channels_last"
    if isinstance(value, str) and value == "channels_first":
        return "channels_first"
    raise ArgumentError("Unknown data_format.", expected="'channels_last' or 'channels_first'", got=shown(value))


def device() -> str | None:
    """Return the device that was set; None where the engine chooses (the accelerator where there is one, else the CPU).

    Example:
        >>> set_device("cpu")
        >>> device()
        'cpu'
        >>> set_device(None)
    """
    return _device


@bounded
def set_device(name: str | None) -> None:
    """Set the device of weights and batches; weights that have values are moved when they are next used.

    Args:
        name: e.g. ``"cpu"``, ``"cuda"``, ``"cuda:1"``; None lets the engine choose.

    Raises:
        ArgumentTypeError: no string.
        ArgumentError: no kind of device that torch has.

    Example:
        >>> set_device("cpu")
        >>> set_device(None)
    """
    global _device
    if name is not None and not isinstance(name, str):
        raise ArgumentTypeError("A device's name must be a string.", expected="e.g. 'cpu' or 'cuda'", got=repr(name))
    if name is not None and not re.fullmatch(rf"({'|'.join(_DEVICES)})(:\d+)?", name):
        raise ArgumentError("Unknown device.", expected=f"one of {', '.join(_DEVICES)}, or e.g. 'cuda:1'", got=repr(name))
    _device = name
    _process.note_change()


def strict_merges() -> bool:
    """Return whether a merge that broadcasts a branch without ``broadcast=True`` is an error; else it is a warning.

    Example:
        >>> strict_merges()
        True
    """
    return _strict_merges


@bounded
def set_strict_merges(strict: bool) -> None:
    """Make ``add``, ``average``, … of unequal shapes without ``broadcast=True`` an error, or a warning.

    Args:
        strict: False warns at the user's line, as under ``anabranch run``, since Keras broadcasts silently.

    Raises:
        ArgumentTypeError: no boolean.

    Example:
        >>> set_strict_merges(False)
        >>> strict_merges()
        False
        >>> set_strict_merges(True)
    """
    global _strict_merges
    if not isinstance(strict, bool):
        raise ArgumentTypeError("strict must be True or False.", got=repr(strict))
    _strict_merges = strict


def ignored_findings() -> tuple[str, ...]:
    """Return the codes of findings that are silenced.

    Example:
        >>> ignored_findings()
        ()
    """
    return _ignored_findings


@bounded
def ignore_findings(*codes: str) -> None:
    """Silence findings about models, as ``model.lint()`` reports them and ``compile`` warns of them; without codes, none.

    Args:
        codes: codes, or beginnings of codes: ``"AB202"``, ``"AB2"`` for all of a family, ``"AB"`` for all.

    Example:
        >>> ignore_findings("AB202", "AB301")
        >>> ignored_findings()
        ('AB202', 'AB301')
        >>> ignore_findings()
    """
    global _ignored_findings
    for code in codes:
        if not isinstance(code, str) or not re.fullmatch(r"AB\d{0,3}", code):
            raise ArgumentError(
                "A finding is named by its code.", expected="such as 'AB202', or its beginning", got=shown(code)
            )
    _ignored_findings = codes


def keep_memory() -> KeepMemory:
    """Return when freed memory is held for the next step: ``fit`` unless set.

    Example:
        >>> keep_memory()
        'fit'
    """
    return _keep_memory


@bounded
def set_keep_memory(when: KeepMemory) -> None:
    """Set when the C library holds freed memory for the next step instead of returning it to the system.

    Concerns the CPU under glibc (most of Linux); elsewhere, and where the environment chooses an allocator or its settings
    (``MALLOC_…``, ``GLIBC_TUNABLES``, ``LD_PRELOAD``), nothing happens.

    Args:
        when: ``"fit"``: while ``fit``, and ``evaluate`` and ``predict`` of several batches, run; ``"always"``: from the first
            of them to the end of the process; ``"never"``: the C library's own settings stay.

    Raises:
        ArgumentError: another value.

    Example:
        >>> set_keep_memory("never")
        >>> keep_memory()
        'never'
        >>> set_keep_memory("fit")
    """
    global _keep_memory
    if not isinstance(when, str) or when not in ("fit", "always", "never"):
        raise ArgumentError(f"keep_memory must be 'fit', 'always' or 'never'; got {shown(when)}.")
    _keep_memory = when


def data_folder() -> Path:
    """Return the folder of downloaded data sets: ``$ANABRANCH_DATA``, or ``~/.cache/anabranch``.

    Example:
        >>> import os
        >>> os.environ["ANABRANCH_DATA"] = "/data/sets"
        >>> print(data_folder())
        /data/sets
        >>> del os.environ["ANABRANCH_DATA"]
    """
    from pathlib import Path

    chosen = os.environ.get("ANABRANCH_DATA")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "anabranch"


def seed() -> int:
    """Return the global seed; drawn from the operating system where none was set.

    Example:
        >>> set_seed(7)
        >>> seed()
        7
    """
    global _seed
    if _seed is None:
        _seed = int.from_bytes(os.urandom(4), "little")
    return _seed


@bounded
def set_seed(value: SupportsIndex) -> None:
    """Set the global seed; generators and initial values follow. ``utils.set_random_seed`` sets this and Python's and NumPy's.

    Args:
        value: an integer from -2⁶³ to 2⁶⁴ - 1.

    Raises:
        ArgumentTypeError: no integer.
        ArgumentError: outside that range.

    Example:
        >>> set_seed(7)
        >>> seed()
        7
    """
    global _seed
    if (not isinstance(value, int) and not is_integer(value)) or isinstance(value, bool):
        raise ArgumentTypeError("A seed must be an integer.", got=shown(value))
    number = operator.index(value)
    if not -(2**63) <= number < 2**64:  # what torch takes
        raise ArgumentError("The seed is out of range.", expected="-2**63 to 2**64 - 1", got=shown(value))
    _seed = number
    _process.note_seeding()


def enable_op_determinism() -> None:
    """Let torch use deterministic algorithms only, on a GPU too; where there is none, what computes raises an EngineError.

    Call it before the first computation, after which some libraries read their settings no more. torch need not be loaded:
    it follows when it is. Sets ``CUBLAS_WORKSPACE_CONFIG`` where the environment does not, and turns off cuDNN's choice of
    algorithms by their speed. Steps may be slower.

    Example:
        >>> enable_op_determinism()
        >>> is_op_determinism_enabled()
        True
        >>> disable_op_determinism()
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
    _set_determinism(True)


def disable_op_determinism() -> None:
    """Let torch use any algorithm, the default.

    Example:
        >>> disable_op_determinism()
        >>> is_op_determinism_enabled()
        False
    """
    _set_determinism(False)


def is_op_determinism_enabled() -> bool:
    """Return whether operations without a deterministic algorithm are refused.

    Example:
        >>> is_op_determinism_enabled()
        False
    """
    return _deterministic


def _set_determinism(enabled: bool) -> None:
    from anabranch._loading import when_loaded

    global _deterministic
    _deterministic = enabled
    when_loaded("torch", _follow_determinism)


def _follow_determinism(torch: Any) -> None:
    global _torchs_benchmark
    if _deterministic or torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(_deterministic)
    cudnn = torch.backends.cudnn
    if _deterministic and _torchs_benchmark is None:
        _torchs_benchmark, cudnn.benchmark = cudnn.benchmark, False
    elif not _deterministic and _torchs_benchmark is not None:
        _torchs_benchmark, cudnn.benchmark = None, _torchs_benchmark


def enable_traceback_filtering() -> None:
    """Show the user's frames alone in tracebacks, the default: those of anabranch, and of torch below it, are left out.

    Example:
        >>> enable_traceback_filtering()
        >>> is_traceback_filtering_enabled()
        True
    """
    _frames.set_filtering(True)


def disable_traceback_filtering() -> None:
    """Show every frame in tracebacks, for a debugger or a report of a fault in anabranch.

    Example:
        >>> disable_traceback_filtering()
        >>> is_traceback_filtering_enabled()
        False
        >>> enable_traceback_filtering()
    """
    _frames.set_filtering(False)


def is_traceback_filtering_enabled() -> bool:
    """Return whether tracebacks show the user's frames alone.

    Example:
        >>> is_traceback_filtering_enabled()
        True
    """
    return _frames.filtering()
