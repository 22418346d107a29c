"""Docstrings completed by the descriptions of arguments that functions share."""

from __future__ import annotations

import inspect

from anabranch.ops._arguments import documented

ARGUMENTS = {"scale": "the family's factor.", "axis: int | None": "the family's axis."}


def test_arguments_are_described_in_the_order_of_the_signature() -> None:
    """What the docstring says comes first, then the family's words, by type and name, then those of all functions."""

    @documented
    def scaled(x: float, own: int, scale: float = 2.0, axis: int | None = None, *, keepdims: bool = False) -> None:
        """Return scale · x.

        Args:
            own: described here,
                in two lines.

        >>> 2 * 2
        4
        """

    assert inspect.getdoc(scaled).split("\n") == [  # type: ignore[union-attr]  # it has one
        "Return scale · x.",
        "",
        "Args:",
        "    x: the input, of any shape.",
        "    own: described here,",
        "        in two lines.",
        "    scale: the family's factor.",
        "    axis: the family's axis.",
        "    keepdims: whether reduced axes stay, with size 1.",
        "",
        "Example:",
        "    >>> 2 * 2",
        "    4",
    ]


def test_a_docstring_without_margin_is_completed_alike() -> None:
    """From Python 3.13 on the compiler removes the margin."""

    def doubled(x: float) -> None: ...

    doubled.__doc__ = "Return 2 · x.\n\n>>> 2 * 2\n4\n"
    assert documented(doubled).__doc__ == (
        "Return 2 · x.\n\nArgs:\n    x: the input, of any shape.\n\nExample:\n    >>> 2 * 2\n    4"
    )


def test_a_docstring_with_an_example_section_stays_as_it_is() -> None:
    def plain(x: float) -> None:
        """Return x.

        Example:
            >>> 1
            1
        """

    before = plain.__doc__
    assert documented(plain).__doc__ == before
