"""Every error that anabranch raises on purpose: what was expected, what came, where, and the repair.

    AnabranchError
    ├── ArgumentError (ValueError)          a value that no one could use: a negative stride, an empty list
    │   ├── UnknownNameError                 a name that nothing answers to, with the nearest that something does
    │   ├── UntrainedError                   a tensor that is computed from parameters, in the place of one
    │   ├── MadeInCallError                  weights that a call makes, which would be others at each call
    │   └── OutOfRangeError (IndexError)     an axis or a position that is not there
    ├── ArgumentTypeError (TypeError, ValueError)  an argument of another kind: a layer where a tensor belongs
    │   └── NoValuesError (NotImplementedError)  a symbolic tensor where values are needed
    ├── ShapeError (ValueError, RuntimeError)  ranks, sizes or channel counts that do not fit
    ├── DtypeError (TypeError, ValueError)  strings or objects where numbers belong
    ├── GraphError (ValueError)             a topology that is no model: an Input left out, two layers of one name
    ├── DataError (ValueError)              what was fed: lengths that differ, NaN, labels out of range
    │   └── UnknownIdError (IndexError)      an id that a table has no row for
    ├── NotReadyError (RuntimeError, ValueError)  used before its time: fit before compile, weights before build
    │   └── NoGraphError (AttributeError)    inputs, outputs, … of a model whose input is not known yet; output of a layer
    ├── FileFormatError (ValueError)        a file that is damaged or not what it says
    ├── FileError (OSError, and the class of its cause)  a file that is missing, in the way, or on a full disk
    ├── DownloadError (OSError)             bytes that could not be had, and how to get them
    ├── MissingAttributeError (AttributeError)  a name that an object of ours does not have
    ├── MissingMethodError (NotImplementedError)  a method that a subclass must write
    ├── MissingExtraError (ImportError)     an optional package that is not installed
    └── EngineError (RuntimeError, ValueError, and the class of its cause)  torch refused; its own words follow

Each is also of the class that Keras raises in its place, so that what catches Keras's errors catches these.

Code inside states the fact; the public boundary adds the place with :meth:`AnabranchError.at`.
"""

from __future__ import annotations

import builtins
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

MOST_SHOWN = 30  # names, before a list is cut
WIDTH = 100  # columns of a message
BOLD, CYAN, YELLOW, GREEN, PLAIN = (f"\033[{code}m" for code in ("1", "36", "33", "32", "0"))
E = TypeVar("E", bound="AnabranchError")


class AnabranchError(Exception):
    """Base of every error raised on purpose; its parts: ``fact``, ``origin``, ``expected``, ``got``, ``where``, ``repair``.

    ``origin`` is where the tensors came from, in lines that are not broken; ``clue`` is what an inner function found, for
    whoever explains the error.
    """

    def __init__(
        self,
        fact: str,
        *,
        expected: str | None = None,
        got: str | None = None,
        where: str | None = None,
        repair: str | None = None,
        origin: str | None = None,
        clue: Any = None,
    ) -> None:
        self.fact = fact
        self.origin = origin
        self.clue = clue
        self.expected = expected
        self.got = got
        self.where = where
        self.repair = repair
        super().__init__(fact)

    def at(self: E, where: str) -> E:
        """Add the place once; the innermost boundary that knows one wins."""
        self.where = self.where or where
        return self

    def say(self, other: AnabranchError) -> None:
        """Take the words of another error: fact, expected, got and repair."""
        self.fact, self.expected, self.got, self.repair = other.fact, other.expected, other.got, other.repair

    def __str__(self) -> str:
        text = printable(self.plain())
        return _painted(text) if _colourful() else text

    def plain(self) -> str:
        """Return the text without colours."""
        parts = [("expected", self.expected), ("got", self.got), ("where", self.where), ("repair", self.repair)]
        lines = self.fact.splitlines()  # whole, for those who look for it in a log
        lines += [f"  {line}" for line in (self.origin or "").splitlines()]
        for label, text in parts:
            if text:
                lines += _broken(text, f"  {label + ':':<9} ", " " * 12)
        return "\n".join(lines)


def printable(text: str) -> str:
    """Return a text with plain signs in the place of those that the output's encoding lacks, as Windows' code pages do."""
    encoding = sys.stdout.encoding if isinstance(sys.stdout, io.TextIOBase) else None
    if not encoding or text.isascii():
        return text
    for sign, plain in _PLAIN_SIGNS.items():
        if b"?" in sign.encode(encoding, "replace"):
            text = text.replace(sign, plain)
    return text.encode(encoding, "replace").decode(encoding)


_PLAIN_SIGNS = {
    "←": "<-", "↑": "^", "→": "->", "…": "...", "×": "x", "≥": ">=", "≤": "<=", "└─": "`-", "·": "*", "µ": "u",
    "━": "=", "╌": "-",
}  # fmt: skip


def _broken(text: str, first: str, rest: str) -> list[str]:
    """Return a text as lines of at most WIDTH columns where words allow it, begun with ``first``, the others with ``rest``."""
    import textwrap

    lines: list[str] = []
    for line in text.splitlines():
        begin = rest if lines else first
        if len(begin) + len(line) <= WIDTH or any(word.startswith("/") for word in line.split()):  # a path is copied whole
            lines.append(begin + line)
        else:
            lines += textwrap.wrap(line, WIDTH, initial_indent=begin, subsequent_indent=rest, break_long_words=False,
                                   break_on_hyphens=False)  # fmt: skip
    return lines


# modules that print to a terminal; a command adds itself
PRINTERS = {"traceback", "code", "_pyrepl.console", "_pyrepl.simple_interact"}


# Colours: where Python itself prints the error on a terminal; who asks for the text in a program gets it plain


def _colourful() -> bool:
    """Return whether the text that is being asked for goes straight to a terminal, or is to look as if."""
    asker = sys._getframe(1).f_back
    while asker is not None and asker.f_globals.get("__name__") in PRINTERS:
        asker = asker.f_back
    if asker is not None or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return bool(sys.stderr and sys.stderr.isatty()) and os.environ.get("TERM") != "dumb"


def _painted(text: str) -> str:
    first, *others = text.splitlines()
    painted = [f"{BOLD}{first}{PLAIN}"]
    repairing = False
    for line in others:
        label = re.match(r"  (expected:|got:|where:|repair:|fork |branch \d+|from )", line)
        repairing = bool(label and label[1] == "repair:") or (repairing and not label)
        head = label.end() if label else 0
        body = re.sub(r"[←↑] .*", lambda found: f"{YELLOW}{found[0]}{PLAIN}", line[head:])
        body = f"{GREEN}{body}{PLAIN}" if repairing else body
        painted.append(f"{CYAN}{line[:head]}{PLAIN}{body}" if head else body)
    return "\n".join(painted)


class ArgumentError(AnabranchError, ValueError):
    """A value that no one could use."""


class UnknownNameError(ArgumentError):
    """A name that nothing answers to."""


class OutOfRangeError(ArgumentError, IndexError):
    """An axis or a position that is not there."""


class UntrainedError(ArgumentError):
    """A tensor that is computed from parameters in the place of one of them, so that these would not train."""


class MadeInCallError(ArgumentError):
    """Weights that a layer's ``call`` makes, which would be others at each call."""


class ArgumentTypeError(AnabranchError, TypeError, ValueError):
    """An argument of another kind than the one that belongs there."""


class NoValuesError(ArgumentTypeError, NotImplementedError):
    """A symbolic tensor where values are needed."""


class ShapeError(AnabranchError, ValueError, RuntimeError):
    """Ranks, sizes or channel counts that do not fit."""


class DtypeError(AnabranchError, TypeError, ValueError):
    """Strings or objects where numbers belong."""


class GraphError(AnabranchError, ValueError):
    """A topology that is no model."""


class DataError(AnabranchError, ValueError):
    """Data that cannot be fed."""


class UnknownIdError(DataError, IndexError):
    """An id that a table has no row for."""


class NotReadyError(AnabranchError, RuntimeError, ValueError):
    """Something used before its time."""


class NoGraphError(NotReadyError, AttributeError):
    """An attribute of a model whose input is not known yet, so that ``hasattr`` is False."""


class FileFormatError(AnabranchError, ValueError):
    """A file that is damaged or not what it says."""


class DownloadError(AnabranchError, OSError):
    """Bytes that could not be had."""


class FileError(AnabranchError, OSError):
    """A file that cannot be read or written; the system's error is the cause."""

    @classmethod
    def of(cls, cause: Exception, fact: str, **parts: str | None) -> FileError:
        """Return the error that says what ``cause`` means, which can be caught as what ``cause`` is.

        >>> error = FileError.of(FileNotFoundError(2, "No such file"), "Could not read 'a'.")
        >>> isinstance(error, FileNotFoundError), error.errno
        (True, 2)
        """
        found = _caught_as(type(cause), FileError)(fact, **parts)
        if isinstance(cause, OSError):
            found.errno, found.strerror, found.filename = cause.errno, cause.strerror, cause.filename
        return found

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the class that has a name."""
        return FileError, (self.fact,), vars(self)


class MissingAttributeError(AnabranchError, AttributeError):
    """A name that an object does not have."""


class MissingMethodError(AnabranchError, NotImplementedError):
    """A method that a subclass must write."""


class MissingExtraError(AnabranchError, ImportError):
    """An optional package that is not installed."""


_OF_TORCH = (
    (
        r"\w+\(\): Expected reduction dim .*", "there is no element along an axis that it reduces.",
        "one or more", "ops.max and ops.min take initial=, the result for none",
    ),
    (
        r"value cannot be converted to type .* without overflow", "a number does not fit the dtype of the tensor.",
        "numbers that it can hold", "ops.cast(x, 'int64'), or to a wider float",
    ),
    (
        r"ZeroDivisionError", "a divisor is 0, or is in the dtype of the tensor.",
        "a divisor that the dtype can hold", "ops.cast(x, 'int64'), or to a float",
    ),
    (
        r"Integers to negative integer powers are not allowed\.", "an integer to a negative power is no integer.",
        "floats", "ops.cast(x, 'float32')",
    ),
)  # fmt: skip
"""Torch's words for what people do to it, and ours: the fact, what was expected, the repair."""
_NO_DETERMINISM = " does not have a deterministic implementation"  # torch's words after the operation's name


class EngineError(AnabranchError, RuntimeError, ValueError):
    """Torch refused, or the code of a user's layer; its error is the cause."""

    @classmethod
    def of(cls, cause: Exception, fact: str, **parts: str | None) -> EngineError:
        """Return the error that says what ``cause`` means, which can be caught as what ``cause`` is.

        >>> isinstance(EngineError.of(IndexError("5"), "No such row."), IndexError)
        True
        """
        for words, ours, expected, repair in _OF_TORCH:
            if found := re.search(words, fact):
                fact = fact[: found.start()] + ours
                parts = {"expected": expected, "repair": repair, **parts}
        fact, refused, _ = fact.partition(_NO_DETERMINISM)
        if refused:
            fact += " has no deterministic algorithm on this device."
            parts["repair"] = "another operation in its place, or config.disable_op_determinism()"
        return _caught_as(type(cause), EngineError)(fact, **parts)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the class that has a name."""
        return EngineError, (self.fact,), vars(self)


_caught: dict[tuple[type, str], type] = {}  # by the name of the builtin class that they are of as well


def _caught_as(cause: type[Exception], kind: type[E]) -> type[E]:
    """Return one of our classes as a subclass of the builtin class that an error is of."""
    builtin = next(each for each in cause.__mro__ if each.__name__ in vars(builtins))
    if issubclass(kind, builtin):
        return kind
    key = kind, builtin.__name__
    if key not in _caught:
        try:
            _caught[key] = type(kind.__name__, (kind, builtin), {"__doc__": kind.__doc__})
        except TypeError:  # one that is laid out otherwise, such as OSError for EngineError
            return kind
    return _caught[key]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``name`` may be a slip of, whatever its case, or None.

    >>> nearest("Cov2D", ["Conv2D", "Dense"]), nearest("applications", ["activations"])
    ('Conv2D', None)
    """
    import difflib  # for errors alone

    names = {k.lower(): k for k in known}
    found = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.6)
    return next((names[one] for one in found if _is_slip(name.lower(), one)), None)


def _is_slip(name: str, known: str) -> bool:
    """Return whether one name is the other shortened, or differs in a letter or two (a quarter of them where it is long)."""
    short, long = sorted((name, known), key=len)
    rest = iter(long)
    return all(letter in rest for letter in short) or _edits(name, known) <= max(2, len(long) // 4)


def _edits(a: str, b: str) -> int:
    """Return how many letters to insert, remove, replace or swap with their neighbour make ``b`` of ``a``.

    >>> _edits("haed", "head"), _edits("admn", "adam")
    (1, 2)
    """
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a):
        row = [i + 1]
        for j, y in enumerate(b):
            cost = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (x != y))
            swapped = i > 0 and j > 0 and x == b[j - 1] and y == a[i - 1]
            row.append(min(cost, rows[i - 1][j - 1] + 1) if swapped else cost)
        rows.append(row)
    return rows[-1][-1]


def shortened(names: Sequence[str]) -> str:
    """Return names in a row, of many the first and how many more there are."""
    more = len(names) - MOST_SHOWN
    return ", ".join(names[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def unknown(kind: str, name: str, known: Iterable[str], *, of: str | None = None) -> UnknownNameError:
    """Build the error for a name that nothing answers to, offering the nearest.

    >>> print(unknown("activation", "rellu", ["relu", "elu"]))
    Unknown activation 'rellu'.
      expected: one of: elu, relu
      repair:   did you mean 'relu'?
    """
    import difflib

    known = sorted(known)
    if not isinstance(name, str):
        name = repr(name)[:WIDTH]
    close = nearest(name, known)
    shown = known if len(known) <= MOST_SHOWN else difflib.get_close_matches(name, known, n=8, cutoff=0.4) or known[:8]
    others = f", … and {len(known) - len(shown)} others" if len(shown) < len(known) else ""
    return UnknownNameError(
        f"Unknown {kind} {name!r}{f' in {of}' if of else ''}.",
        expected=f"one of: {', '.join(shown)}{others}",
        repair=f"did you mean {close!r}?" if close else None,
    )


def leaving_out(get: Callable[[str], object], reasons: Mapping[str, str]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a package that says why it leaves names of Keras's out, and asks ``get`` for others."""

    def asked(name: str) -> object:
        if name in reasons:
            raise MissingAttributeError(f"{name} is left out: {reasons[name]}")
        return get(name)

    return asked
