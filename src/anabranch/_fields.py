"""Settings as fields: what a layer, loss, metric, optimizer, … is made of, declared once, in the order of its constructor.

A field knows its default, how a given value becomes the value in use, how that becomes JSON, and its line of documentation.
The constructor, ``get_config``, ``repr`` and the ``Args:`` of the docstring follow from the fields; the attribute is the only
truth.
"""

from __future__ import annotations

import copy
import functools
import math
import operator
import types
from collections.abc import Callable, Iterable, Mapping
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    Self,
    TypeVar,
    dataclass_transform,
    overload,
)  # fmt: skip

from anabranch import registry
from anabranch._arguments import RAW, Kind, checked, kind_taken
from anabranch._asked import GREATEST, described, has_shape, is_boolean, is_from, is_integer, is_number, name_of, shown
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError, nearest, unknown
from anabranch._frames import bound_methods, leave, unbounded

if TYPE_CHECKING:
    import inspect

In = TypeVar("In")
Out = TypeVar("Out")
Convert = Callable[[Any, Any, str], Any]  # (value, the object it is set on, the field's name) -> the value in use


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()


class _Setting(property):
    """How a field is read and set: a property, so that reading costs no call of Python.

    The value is stored under ``key`` in the object, the default under the same key in its class.
    """

    name = ""
    key = ""
    owner: type | None = None
    shown_if_set = False  # whether ``get_config`` lacks it as long as it is None
    _kind: Kind | None = None  # what its annotation says that it takes

    def __init__(
        self,
        default: object = REQUIRED,
        convert: Convert | None = None,
        plain: Callable[[Any], Any] = registry.serialize,
        doc: str = "",
        *,
        fixed: bool = False,
        fresh: bool = False,
        hidden: bool = False,
        typed: bool = False,
    ) -> None:
        super().__init__()
        self.default, self.convert, self.plain, self.doc = default, convert, plain, doc
        self.fixed, self.fresh, self.hidden, self.typed = fixed, fresh, hidden, typed

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.key, self.owner = name, f":{name}", owner  # no attribute that somebody writes is called as the key
        self.read_by(operator.attrgetter(self.key))

    def read_by(self, read: Callable[[Any], Any]) -> None:
        """Become the property that ``read`` reads, with the field's line as its docstring still."""
        line = self.doc
        property.__init__(self, read, self._set)  # which takes the docstring of ``read``
        self.doc = line

    @property
    def doc(self) -> str:
        """One line of documentation: the property's docstring."""
        return self.__doc__ or ""

    @doc.setter
    def doc(self, line: str) -> None:
        self.__doc__ = line

    @unbounded
    def _set(self, instance: Any, value: object) -> None:
        try:
            found = self.converted(value, instance)
            instance._changing_(self, found)
        except BaseException as error:
            leave(error)
            raise
        instance.__dict__[self.key] = found

    def converted(self, value: object, owner: Configurable | type) -> Any:
        """Return the value in use that a given one means for ``owner``, an object or, for the default, its class."""
        if self.convert is None and not self.typed:
            return value
        try:
            found = value if self.convert is None else self.convert(value, owner, self.name)
            if self.typed and not isinstance(owner, type) and not self._takes(value):
                raise ArgumentTypeError(_must_be(self.name, owner, self.kind.words), got=shown(value))
            # An array is taken as it is now: its owner may write into it before it is read.
            return copy.copy(found) if is_from(type(found), "numpy") else found
        except AnabranchError as error:
            raise error.at("" if isinstance(owner, type) else owner._place_()) from error.__cause__
        except RAW as error:
            raise ArgumentTypeError(
                f"{self.name} of {_kind_name(owner)} cannot be this value.", expected=self.doc or None, got=shown(value),
                where="" if isinstance(owner, type) else owner._place_(),
            ) from error  # fmt: skip

    def left_out(self, owner: object) -> bool:
        """Return whether the config of an object lacks it."""
        return self.hidden or (self.shown_if_set and getattr(owner, self.name) is None)

    @property
    def kind(self) -> Kind:
        """What the annotation says that is taken: the first part of ``Field[In, Out]``."""
        if self._kind is None:
            self._kind = kind_taken(self.owner, self.name)
        return self._kind

    def _takes(self, value: object) -> bool:
        """Return whether the annotation takes a value; JSON that means one is for ``convert`` to judge."""
        parts = value if isinstance(value, (list, tuple)) else [value]
        described = any(isinstance(part, Mapping) and "class_name" in part for part in parts)
        return value is self.default or self.kind.fits(value) or described

    def __repr__(self) -> str:
        return f"<Field {self.name}{'' if self.default is REQUIRED else f' = {self.default!r}'}>"


if TYPE_CHECKING:

    class Field(_Setting, Generic[In, Out]):
        """One setting of a class: ``Field[what the constructor takes, what the attribute is]``."""

        @overload
        def __get__(self, instance: None, owner: type | None = None) -> Self: ...

        @overload
        def __get__(self, instance: object, owner: type | None = None) -> Out: ...

        def __get__(self, instance: object, owner: type | None = None) -> object: ...

        def __set__(self, instance: object, value: In) -> None: ...

else:

    class Field(_Setting):
        """One setting of a class: ``Field[what the constructor takes, what the attribute is]``.

        Args:
            default: as the signature shows it.
            convert: makes the value in use of a given one, or raises; None takes it as it is.
            plain: makes JSON of the value in use.
            doc: one line of documentation.
            fixed: it cannot change once the object is built, as weights were made by it.
            fresh: the default is converted for each object as it is made, since it depends on the settings of the process.
            hidden: it is no entry of ``get_config``.
            typed: a value that its annotation does not take is refused, though ``convert`` would take it.
        """

        def __class_getitem__(cls, item: object) -> type:
            return cls


# Kinds of fields. A type checker reads ``default=`` and ``kw_only=`` of these calls (PEP 681).


def field(
    *, default: object = REQUIRED, convert: Convert | None = None, plain: Callable[[Any], Any] = registry.serialize,
    doc: str = "", fixed: bool = False, fresh: bool = False, hidden: bool = False, kw_only: bool = False,
) -> Field[Any, Any]:  # fmt: skip
    """Declare a setting; see :class:`Field`. ``kw_only`` is for type checkers alone."""
    return Field(default, convert, plain, doc, fixed=fixed, fresh=fresh, hidden=hidden, typed=True)


def integer(
    *,
    default: object = REQUIRED,
    least: int | None = 1,
    optional: bool = False,
    doc: str = "",
    fixed: bool = False,
    kw_only: bool = False,
) -> Field[Any, Any]:
    """Declare an integer of at least ``least``; ``optional``: or None."""
    bound = "" if least is None else f" ≥ {least}"

    def convert(value: object, owner: object, name: str) -> int | None:
        if type(value) is int and -GREATEST < value < GREATEST and (least is None or value >= least):  # as most are
            return value
        if value is None and optional:
            return None
        if not is_integer(value) or (least is not None and operator.index(value) < least):
            bits = " of 64 bits" if type(value) is int and abs(value) >= GREATEST else ""
            raise ArgumentError(
                _must_be(name, owner, f"an integer{bits}{bound}{' or None' if optional else ''}"), got=shown(value)
            )
        return operator.index(value)

    return Field(default, convert, doc=doc, fixed=fixed)


def number(
    *,
    default: object = REQUIRED,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    optional: bool = False,
    doc: str = "",
    kw_only: bool = False,
) -> Field[Any, Any]:
    """Declare a finite number within ``[least, most]``, or strictly ``above`` and ``below``; ``optional``: or None."""
    bounds = [f"{sign} {bound}" for sign, bound in (("≥", least), (">", above), ("≤", most), ("<", below)) if bound is not None]
    what = " ".join(["a finite number", " and ".join(bounds)]).strip() + (" or None" if optional else "")

    def convert(value: object, owner: object, name: str) -> float | None:
        if value is None and optional:
            return None
        if type(value) is float or (type(value) is int and -GREATEST < value < GREATEST):
            found: float = value
        else:
            if (has_shape(value) and described(value)[:2] != "()") or not is_number(value):
                raise ArgumentTypeError(_must_be(name, owner, what), got=shown(value))
            found = float(value)  # type: ignore[arg-type]  # a number
        fits = math.isfinite(found) and (least is None or found >= least) and (most is None or found <= most)
        if not fits or (above is not None and found <= above) or (below is not None and found >= below):
            raise ArgumentError(_must_be(name, owner, what), got=shown(value))
        return found

    return Field(default, convert, doc=doc)


def boolean(
    *, default: object = REQUIRED, optional: bool = False, doc: str = "", fixed: bool = False, kw_only: bool = False
) -> Field[Any, Any]:
    """Declare a boolean; 0 and 1 are taken for False and True. ``optional``: or None."""

    def convert(value: object, owner: object, name: str) -> bool | None:
        if isinstance(value, bool) or (value is None and optional):
            return value
        if is_boolean(value):
            return bool(value)
        raise ArgumentTypeError(_must_be(name, owner, f"True or False{' or None' if optional else ''}"), got=shown(value))

    return Field(default, convert, doc=doc, fixed=fixed)


def text(*, default: object = REQUIRED, optional: bool = False, doc: str = "", kw_only: bool = False) -> Field[Any, Any]:
    """Declare a string; ``optional``: or None."""

    def convert(value: object, owner: object, name: str) -> str | None:
        if isinstance(value, str) or (value is None and optional):
            return value
        raise ArgumentTypeError(_must_be(name, owner, f"a string{' or None' if optional else ''}"), got=shown(value))

    return Field(default, convert, doc=doc)


def choice(
    *choices: object, default: object = REQUIRED, doc: str = "", lower: bool = False, fixed: bool = False, kw_only: bool = False
) -> Field[Any, Any]:
    """Declare one of ``choices``; ``lower``: whatever the case of its letters."""

    def convert(value: object, owner: object, name: str) -> object:
        found = value.lower() if lower and isinstance(value, str) else value
        if any(found is each or (type(found) is type(each) and found == each) for each in choices):
            return found
        if isinstance(value, str):
            raise unknown(name, value, [each for each in choices if isinstance(each, str)], of=type(owner).__name__)
        raise ArgumentError(_must_be(name, owner, " or ".join(map(repr, choices))), got=shown(value))

    return Field(default, convert, doc=doc, fixed=fixed)


def state(*, init: Literal[False] = False) -> Any:
    """Declare an attribute that is no setting and None at first, such as a weight."""
    return None


def _must_be(name: str, owner: object, what: str) -> str:
    return f"{name} of {_kind_name(owner)} must be {what}."


def _kind_name(owner: object) -> str:
    return name_of(owner if isinstance(owner, type) else type(owner))


class _Signature:
    """The signature that the fields give a class, where its ``__init__`` is the one that takes them."""

    def __get__(self, instance: object, owner: type[Configurable]) -> inspect.Signature:
        if owner.__init__ is not Configurable.__init__:
            raise AttributeError("__signature__")
        import inspect  # which takes a while to load

        kind, empty = inspect.Parameter, inspect.Parameter.empty
        found = [
            kind(each.name, kind.POSITIONAL_OR_KEYWORD, default=empty if each.default is REQUIRED else each.default)
            for each in owner._order_
        ]
        found += [kind(name, kind.POSITIONAL_OR_KEYWORD, default=None) for name in owner._others_by_position_]
        others = [kind("kwargs", kind.VAR_KEYWORD)] if owner._take_others_ is not Configurable._take_others_ else []
        return inspect.Signature([*found, *others])


class _Docstring:
    """The docstring of a class, completed by the lines of its fields when it is read."""

    def __init__(self, written: str | None) -> None:
        self.written = written

    def __get__(self, instance: object, owner: type[Configurable]) -> str | None:
        return documented(self.written, owner._order_, owner._others_by_position_)


@dataclass_transform(field_specifiers=(field, integer, number, boolean, text, choice, state))
@bound_methods
class Configurable:
    """Base of what is made of fields.

    Constructor, ``get_config``, ``from_config`` and ``repr`` follow from them. First in the constructor are the fields that
    ``field_order`` names, then a subclass's own, then those of its bases, as in Keras, those without a default before the
    others; a field declared again takes the new place. A user's subclass may write an ``__init__`` of its own.
    """

    _fields_: ClassVar[Mapping[str, Field[Any, Any]]] = {}
    _field_order_: ClassVar[tuple[str, ...]] = ()  # names of fields that come first in the constructor of this class
    _others_by_position_: ClassVar[Mapping[str, str]] = {}  # name -> doc of arguments, no fields, that follow these by position
    _order_: ClassVar[tuple[Field[Any, Any], ...]] = ()
    _needed_: ClassVar[tuple[Field[Any, Any], ...]] = ()
    _fresh_: ClassVar[tuple[Field[Any, Any], ...]] = ()

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        bound_methods(cls)
        own = {name: value for name, value in cls.__dict__.items() if isinstance(value, Field)}
        first = cls.__dict__.get("_field_order_", ())
        if own or first or len(cls.__bases__) > 1 or not cls._fields_.keys().isdisjoint(cls.__dict__):
            found = dict(own)
            for base in cls.__mro__[1:]:
                if issubclass(base, Configurable):
                    for name, value in base._fields_.items():
                        if name not in found and getattr(cls, name) is value:  # unless something else took its place
                            found[name] = value
            found = {name: found[name] for name in first} | found
            found = dict(sorted(found.items(), key=lambda item: item[1].default is not REQUIRED))  # as a signature must be
            cls._fields_, cls._order_ = found, tuple(found.values())
            cls._needed_ = tuple(each for each in cls._order_ if each.default is REQUIRED)
            cls._fresh_ = tuple(each for each in cls._order_ if each.fresh)
        for each in cls._order_:
            if each.default is not REQUIRED and not each.fresh:
                value = each.converted(each.default, cls)
                setattr(cls, each.key, staticmethod(value) if isinstance(value, types.FunctionType) else value)  # no method
        inherited = cls._order_ and cls.__init__ is Configurable.__init__ and cls.__dict__.get("__doc__") is not None
        if own or inherited:
            cls.__doc__ = _Docstring(cls.__dict__["__doc__"])  # type: ignore[assignment]  # a string to its readers

    __signature__ = _Signature()

    @unbounded
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            if args or kwargs or self._needed_ or self._fresh_:
                self._take_others_(self._take_(args, kwargs))
            self._check_()
        except BaseException as error:
            leave(error)
            raise

    def _take_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Set the fields from the constructor's arguments and return those arguments that are no fields."""
        order, state, others = self._order_, self.__dict__, {}
        if args:
            if len(args) > len(order):
                kwargs = self._with_names_(args, kwargs)
            for each, value in zip(order, args, strict=False):
                state[each.key] = each.converted(value, self)
        fields = self._fields_
        for name, value in kwargs.items():
            found = fields.get(name)
            if found is None:
                others[name] = value
            elif args and found.key in state and found in order[: len(args)]:
                raise self._refused_(f"got two values for {name!r}", f"{value!r} besides the positional one")
            else:
                state[found.key] = found.converted(value, self)
        for each in self._needed_:
            if each.key not in state:
                raise self._refused_(f"needs {each.name!r}", None)
        for each in self._fresh_:
            if each.key not in state:
                state[each.key] = each.converted(each.default, self)
        return others

    def _with_names_(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments by name and those that came by position after the fields."""
        most = len(self._order_) + len(self._others_by_position_)
        if len(args) > most:
            raise self._refused_(f"takes at most {most} positional arguments", f"{len(args)} arguments")
        found = dict(zip(self._others_by_position_, args[len(self._order_) :], strict=False))
        twice = next(iter(found.keys() & kwargs.keys()), None)
        if twice is not None:
            raise self._refused_(f"got two values for {twice!r}", f"{kwargs[twice]!r} besides the positional one")
        return kwargs | found

    # What subclasses may say

    def _take_others_(self, others: dict[str, Any]) -> None:
        """Take the constructor's arguments that are no fields, or refuse them."""
        if others:
            raise self._unknown_argument_(next(iter(others)))

    def _check_(self) -> None:
        """Raise where settings do not go together; called when all are set."""

    def _changing_(self, changed: Field[Any, Any], value: object) -> None:
        """Hear that a field of an object that exists is about to be set to ``value``, or refuse it."""

    def _place_(self) -> str:
        """Return where the object was made, for errors; "" where that is not known."""
        return ""

    # Config

    def get_config(self) -> dict[str, Any]:
        """Return all settings as JSON, defaults included.

        Arguments of a subclass's own ``__init__`` are included where it stores them under their own names.
        """
        config = {each.name: each.plain(getattr(self, each.name)) for each in self._order_ if not each.left_out(self)}
        if type(self).__init__ is not Configurable.__init__:
            held = vars(self)
            for name in _arguments_of(type(self).__init__)[0]:
                if name in held and name not in config:
                    config[name] = registry.serialize(held[name])
        return config

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make an object from what ``get_config`` returned.

        Settings that a subclass's own ``__init__`` does not take are set on the new object.
        """
        if cls.__init__ is Configurable.__init__:
            return cls(**config)
        taken, open_ended = _arguments_of(cls.__init__)
        later = {} if open_ended else {name: config[name] for name in config if name in cls._fields_ and name not in taken}
        made = cls(**{name: value for name, value in config.items() if name not in later})
        for name, value in later.items():
            setattr(made, name, value)
        return made

    def _written_(self) -> str:
        """Return the code that makes this object, without the settings that are as by default."""
        state = self.__dict__
        parts = [
            f"{each.name}={_short(each, state[each.key])}" for each in self._order_ if each.key in state and not each.fresh
        ]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __repr__(self) -> str:
        return self._written_()

    # Mistakes

    def _refused_(self, fact: str, got: str | None) -> ArgumentTypeError:
        signature = ", ".join(_parameter(each) for each in self._order_)
        return ArgumentTypeError(
            f"{type(self).__name__} {fact}.",
            expected=f"{type(self).__name__}({signature})",
            got=got,
            where=self._place_() or None,
        )

    def _unknown_argument_(self, name: str) -> ArgumentTypeError:
        return unknown_argument(type(self), name, self._fields_, self._place_() or None)


def unknown_argument(kind: type, name: str, known: Iterable[str], where: str | None) -> ArgumentTypeError:
    """Return the error for an argument that a class does not take, with those that it takes."""
    close = nearest(name, known)
    return ArgumentTypeError(
        f"{kind.__name__} takes no argument {name!r}.", expected=", ".join(dict.fromkeys(known)) or "no arguments",
        where=where, repair=f"did you mean {close!r}?" if close else None,
    )  # fmt: skip


@functools.lru_cache(1024)
def _arguments_of(init: Callable[..., None]) -> tuple[tuple[str, ...], bool]:
    """Return the names that an ``__init__`` takes, and whether it takes others besides."""
    import inspect

    given = list(inspect.signature(init).parameters.values())[1:]
    single = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in given)
    return tuple(each.name for each in given if each.kind in single), open_ended


class Value(Configurable):
    """A configurable object without an identity of its own: two are equal where class and settings are."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Value) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((type(self), repr(self.get_config())))


def documented(doc: str | None, order: Iterable[Field[Any, Any]], others: Mapping[str, str] | None = None) -> str | None:
    """Return a docstring with an ``Args:`` section of the fields that have a line, and of others, before its example.

    >>> units = Field(doc="size of the output.")
    >>> units.name = "units"
    >>> print(documented("Multiply.", [units]))
    Multiply.
    <BLANKLINE>
    Args:
        units: size of the output.
    """
    lines = [f"    {each.name}: {each.doc}" for each in order if each.doc]
    lines += [f"    {name}: {line}" for name, line in (others or {}).items()]
    if doc is None or not lines:
        return doc
    import inspect

    text = inspect.cleandoc(doc)
    if "\nArgs:" in text:
        return doc
    head, mark, example = text.partition("\n\nExample:")
    if not mark:
        head, mark, example = text.partition("\n\n>>> ")
    return "\n".join([head, "", "Args:", *lines]) + mark + example


def _parameter(each: Field[Any, Any]) -> str:
    return each.name if each.default is REQUIRED else f"{each.name}={each.default!r}"


def _short(each: Field[Any, Any], value: object) -> str:
    """Return a setting as code: ``'relu'`` for what is named so, else the object's own ``repr``."""
    try:
        shown = each.plain(value) if callable(value) else value
    except AnabranchError:  # a lambda, say, which is no data
        shown = value
    return repr(shown if isinstance(shown, str) else value)
