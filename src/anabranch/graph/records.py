"""What every graph consists of: a tensor knows the node that made it, a node its operation and its inputs.

Nothing points forward but weak references on the operation, which let ``layer.output`` answer.
"""

from __future__ import annotations

import types
import weakref
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from anabranch import _tree
from anabranch.graph.call_site import CallSite
from anabranch.graph.copying import OfGraph
from anabranch.graph.facts import NO_FACTS, Facts, Inputs, Judgements
from anabranch.graph.shapes import Shape

if TYPE_CHECKING:
    from anabranch.graph.weight import Weight


class Spec(NamedTuple):
    """What is known of a tensor before it has numbers."""

    shape: Shape
    dtype: str


ITEM_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1, "bool": 1,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint64": 8, "uint32": 4, "uint16": 2, "uint8": 1,
    "complex64": 8, "complex128": 16,
}  # fmt: skip
"""How many bytes a value of each dtype takes."""


def item_bytes(dtype: str) -> int:
    """Return how many bytes a value takes; 4 where a dtype is not known.

    >>> item_bytes("bfloat16"), item_bytes("string")
    (2, 4)
    """
    return ITEM_BYTES.get(dtype, 4)


class MaskedSpec(Spec):
    """A Spec of a value that carried a mask when it was inferred, over its first ``mask_axes`` axes."""

    mask_axes: int = 0


class Window(NamedTuple):
    """A window that slides along the spatial axes: its strides, and ``"valid"``, ``"same"`` or ``"causal"``."""

    strides: tuple[int, ...]
    padding: str


class Operation:
    """What a node applies: a layer, a nested model, a function of tensors, a Python operator.

    Whoever walks a graph asks these members and nothing else: no class name, no module name, no ``hasattr``.
    """

    _is_source_: ClassVar[bool] = False
    """Whether a graph may begin here: an Input."""
    _is_function_: ClassVar[bool] = False
    """Whether it is one use of a function, so that masks, dtypes and purity follow from the function's own facts."""
    _takes_one_tensor_: ClassVar[bool] = False
    """Whether it is never called on a list of tensors."""
    _opaque_if_needed_: ClassVar[bool] = True
    """Whether it may run whole, as one module, where its ``call`` cannot be traced."""

    _on_host_: ClassVar[bool] = False
    """Whether it runs on the host, on arrays of any kind; first in a model, before a batch goes to the device."""

    _begins_with_: ClassVar[Spec | None] = None
    """What goes into it where it is the first of a row and no Input says so."""

    _writes_variables_: ClassVar[bool] = False
    """Whether its author says what files hold of it: ``save_own_variables``, ``load_own_variables``."""

    _explicit_name_: str | None = None
    """The name that its author gave."""
    _calls_: list[weakref.ref[Node]]
    """The nodes that apply it, as long as these are in use."""
    _made_at_: CallSite | None = None
    """The user's line that made it."""
    _built_for_: CallSite | None = None
    """The user's line whose call made its weights."""
    _optional_: bool = False
    """Whether None may be fed in its place: an Input's."""

    _facts_: Facts = NO_FACTS
    """What a function states of itself."""
    _judgements_: Judgements | None = None
    """What was seen of the masks of a function that states no rule for them."""

    # What running it depends on; a function has no settings

    autocast: bool = False
    """Whether float inputs are cast to ``compute_dtype``."""
    _low_precision_: str | None = None
    """The float type of fewer bits that it computes in, None where that is the type of its weights."""
    activity_regularizer: Callable[[Any], Any] | None = None
    """The penalty on what it gives."""
    input_spec: Any = None
    """What inputs must fit, None for anything."""
    _captures_: ClassVar[bool] = False
    """Whether its constructor and ``call`` may be a user's, who reads masks where Keras has them."""
    supports_masking: bool = False
    """Whether a mask goes on, by ``compute_mask``."""
    _unmasked_axes_: ClassVar[int | None] = None
    """How many last axes a mask must lack to reach ``call`` unasked; None: any number."""
    _held_losses_: Sequence[Any] = ()
    """What the last outermost call added to the loss."""
    built: bool = True
    """Whether its weights are made."""
    _revision_: int = 0
    """How often its settings changed, so that compiled models notice."""
    _remat_scope_: Any = None
    """The scope it was made in, which says whether it is recomputed in the backward pass; None for none."""
    _watched_: Mapping[str, Any] = types.MappingProxyType({})
    """What it reports to training, by name."""
    _has_layers_: ClassVar[bool] = False
    """Whether it is a model, whose ``layers`` is what it holds."""
    _in_a_row_: ClassVar[bool] = False
    """Whether its layers follow each other, even while what goes into the first is not known."""
    training: bool = False
    """Whether it runs as in training where a call does not say, as after ``train()``."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        lacking = [name for name in _MEMBERS if getattr(cls, name) is vars(Operation)[name]]
        if lacking:  # as ``abc.ABC`` does, whose ``isinstance`` takes five times as long
            vars(type)["__abstractmethods__"].__set__(cls, frozenset(lacking))

    @property
    @abstractmethod
    def name(self) -> str:
        """The name it goes by outside of any graph."""

    @property
    @abstractmethod
    def _base_name_(self) -> str:
        """What names are made of where none was given: ``conv2d`` of ``Conv2D``."""

    def _kind_name_(self) -> str:
        """Return what a reader calls its kind: ``Conv2D``, ``Input``, or the class of the torch module inside."""
        return type(self).__name__

    def _error_label_(self) -> str:
        """Return it as errors name it: ``Conv2D 'stem'``, ``Input 'image'``, ``the operator +``, ``relu(…)``, ``x[…]``."""
        return f"{self._kind_name_()} {self.name!r}"

    def _summary_kind_(self) -> str:
        """Return its kind as the table of layers shows it: the class, in Keras's words."""
        return type(self).__name__

    def _written_code_(self, *, named: bool = True, whole: bool = False) -> str:
        """Return the code that made it: ``Dense(3, activation='relu')``; with its name if ``named``, uncut if ``whole``."""
        return f"{self._kind_name_()}(…)"

    def _settings_by_name_(self) -> dict[str, Any]:
        """Return its settings as they are now; a function has none."""
        return {}

    @property
    def _graph_(self) -> Any:
        """The graph inside, None unless this is a model of layers."""
        return None

    @abstractmethod
    def call(self, *args: Any, **kwargs: Any) -> _tree.Nest:
        """Compute the outputs from tensors."""

    def _call_takes_(self, name: str) -> bool:
        """Return whether ``call`` has a parameter ``name``, such as ``training``."""
        return False

    def _is_input_(self, name: str) -> bool:
        """Return whether an argument of ``call`` that is given by ``name`` is an input, as those by position are."""
        return False

    def compute_mask(self, inputs: Any, previous_mask: Any) -> _tree.Nest:
        """Return the masks of the results."""
        return previous_mask

    def _makes_mask_(self) -> bool:
        """Return whether ``compute_mask`` may give a mask where no input has one."""
        return False

    # What a function knows of masks; a layer has its ``mask_reach``

    def _mask_axes_after_(self, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: Inputs) -> int:
        """Return over how many leading axes a function's results are masked, by shape and reach of each array it takes."""
        return 0 if self._judgements_ is None else self._judgements_.of(inputs).reach(inputs)

    def _unknown_in_(self, inputs: Inputs) -> str:
        """Return what torch operation leaves a function's mask unknown, "" where none does."""
        return "" if self._judgements_ is None else self._judgements_.of(inputs).unknown

    @abstractmethod
    def compute_output_spec(self, *args: Any, **kwargs: Any) -> _tree.Nest:
        """Return a Spec for each output, in the operation's own structure."""

    def _mask_reach_(self, node: Node, given: Sequence[int]) -> tuple[int, ...]:
        """Return over how many leading axes each output is masked, where ``given`` says so of each input; () where none is."""
        return ()

    def _axis_layout_(self) -> str | None:
        """Return ``"channels_last"`` or ``"channels_first"``, None where it has no layout."""
        return None

    def _local_window_(self) -> Window | None:
        """Return the window it slides, by which ceil(length / stride) positions remain where it is padded; None without one."""
        return None

    @property
    def _takes_integers_(self) -> bool:
        """Whether integers reach ``call`` as they are, where ``autocast`` is on."""
        return True

    @property
    def compute_dtype(self) -> str:
        """The float type it computes in; empty where it takes that of its inputs."""
        return ""

    @property
    def weights(self) -> list[Weight]:
        """All its weights."""
        return []

    @property
    def trainable(self) -> bool:
        """Whether training changes its weights."""
        return True

    @property
    def path(self) -> str:
        """The path in the model that first claimed it."""
        return self.name

    def _set_mode_(self, training: bool) -> None:
        """Bring third-party modules that it holds into training mode, or out of it; called before each run."""

    def _sublayers_(self) -> Sequence[Operation]:
        """Return the layers held directly."""
        return ()

    def _own_weights_(self) -> Sequence[Weight]:
        """Return its own weights, without those of layers inside."""
        return ()

    def _held_attributes_(self) -> list[tuple[str, Any]]:
        """Return its attributes that may hold layers."""
        return []

    def _inner_layers_(self) -> Iterator[Operation]:
        """Yield the layers: itself, where it is one, and every one inside."""
        return iter(())


_MEMBERS = ("name", "_base_name_", "call", "compute_output_spec")  # that every operation has


class NamedFunction(Operation):
    """One use of a function or operator in a graph: an operation without weights, known by the function's name. Abstract."""

    _is_function_ = True
    _opaque_if_needed_ = False  # there is nothing to keep whole

    def __init__(self, function: Callable[..., Any], name: str, facts: Facts) -> None:
        self.function = function
        self._facts_ = facts
        self._name = name
        self._calls_ = []

    @property
    def name(self) -> str:
        """The function's name."""
        return self._name

    @property
    def _base_name_(self) -> str:
        """The function's name."""
        return self._name

    def _summary_kind_(self) -> str:
        """Return the function's name as that of a class: ``GetItem``."""
        return "".join(part.title() for part in self._name.split("_"))

    def call(self, *args: Any, **kwargs: Any) -> _tree.Nest:
        """Call the function with the arguments it was written with."""
        return self.function(*args, **kwargs)


class Node(OfGraph):
    """One application of an operation.

    ``mask_axes``: over how many leading axes each output is masked, 0 where one is not; empty where none is.
    """

    __slots__ = ("__weakref__", "args", "inputs", "kwargs", "mask_axes", "operation", "output_specs", "site")

    def __init__(
        self,
        operation: Operation,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        output_specs: _tree.Nest,
        site: CallSite,
    ) -> None:
        self.operation = operation
        self.args = args
        self.kwargs = kwargs
        self.inputs = tensors_in(args, kwargs)
        self.output_specs = output_specs
        self.site = site
        self.mask_axes: tuple[int, ...] = ()

    @property
    def output_count(self) -> int:
        """How many tensors it gives."""
        return 1 if isinstance(self.output_specs, Spec) else len(spec_leaves(self.output_specs))

    @property
    def masked(self) -> tuple[bool, ...]:
        """Which outputs carry a mask."""
        return tuple(map(bool, self.mask_axes or (0,) * self.output_count))

    def __repr__(self) -> str:
        return f"<Node {self.operation.name} at {self.site}>"


class Tensor(OfGraph):
    """A tensor without numbers: what is known of one value that a node gives."""

    __slots__ = ("__weakref__", "dtype", "index", "node", "shape")

    def __init__(self, node: Node, index: int, spec: Spec) -> None:
        self.node = node
        self.index = index
        self.shape: Shape = spec.shape
        self.dtype = spec.dtype

    @property
    def key(self) -> tuple[Node, int]:
        """What distinguishes this tensor from others in a walk."""
        return self.node, self.index

    @property
    def name(self) -> str:
        """The name of the operation that made it."""
        return self.node.operation.name

    @property
    def spec(self) -> Spec:
        """Shape and dtype."""
        return Spec(self.shape, self.dtype)

    @property
    def mask_axes(self) -> int:
        """Over how many leading axes it is masked: 2 where a mask (B, T) goes with it, 0 where none does."""
        return self.node.mask_axes[self.index] if self.node.mask_axes else 0

    @property
    def masked(self) -> bool:
        """Whether it carries a mask, which layers after it get."""
        return self.mask_axes > 0

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def sparse(self) -> bool:
        """False: a symbolic tensor is dense."""
        return False

    @property
    def ragged(self) -> bool:
        """False: the rows of a symbolic tensor have one length."""
        return False

    @property
    def ragged_rank(self) -> None:
        """None: no axis is ragged."""
        return None

    @property
    def row_splits_dtype(self) -> None:
        """None: no axis is ragged."""
        return None

    def __repr__(self) -> str:
        return f"<Tensor shape={self.shape} dtype={self.dtype} from {self.name} at {self.node.site}>"

    def _repr_html_(self) -> str:
        from anabranch._tables import facts

        operation, inputs = self.node.operation, self.node.inputs
        sources = [("inputs", ", ".join(f"{each.name} {each.shape}" for each in inputs))] if inputs else []
        origin = [("from", f"{operation.name} ({operation._summary_kind_()})"), *sources, ("line", self.node.site)]
        return facts("Symbolic tensor", [("shape", self.shape), ("dtype", self.dtype), *origin])


def tensors_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, ...]:
    """Return the tensors without numbers among the arguments of a call, in order."""
    if len(args) == 1 and not kwargs:  # as most calls are
        if not isinstance(args[0], (list, tuple, dict)):
            return args if isinstance(args[0], Tensor) else ()
        leaves = _tree.leaves(args[0])
    else:
        leaves = _tree.leaves((args, list(kwargs.values())) if kwargs else args)
    return tuple([leaf for leaf in leaves if isinstance(leaf, Tensor)])


def spec_leaves(specs: _tree.Nest) -> list[Spec]:
    """Return the leaves of a nest of specs; a Spec is a leaf although it is a tuple."""
    found: list[Spec] = []
    map_specs(found.append, specs)
    return found


def map_specs(function: Callable[[Any], object], specs: _tree.Nest) -> _tree.Nest:
    """Return the same nest with ``function`` applied to each spec, or to what else is no list, tuple or dict."""
    if isinstance(specs, Spec) or not _tree.is_nest(specs):
        return function(specs)
    if isinstance(specs, dict):
        return {key: map_specs(function, value) for key, value in specs.items()}
    return _tree.of_parts(specs, [map_specs(function, value) for value in specs])
