"""The extension of IPython: ``%load_ext anabranch`` lets an unmodified notebook's ``import keras`` mean anabranch."""

from __future__ import annotations

from anabranch import stand_in
from anabranch._docstrings import described
from anabranch._frames import bounded

_documented = described({"shell": "IPython's shell."})


@bounded
@_documented
def load_ipython_extension(shell: object) -> None:
    """Let ``import keras`` mean anabranch in a notebook; IPython calls it for ``%load_ext anabranch``.

    Example:
        >>> %load_ext anabranch  # doctest: +SKIP
        >>> import keras  # doctest: +SKIP
        >>> keras.__doc__  # doctest: +SKIP
        'anabranch, standing in for keras'
    """
    stand_in.install()


@bounded
@_documented
def unload_ipython_extension(shell: object) -> None:
    """Let ``import keras`` mean what is installed again; IPython calls it for ``%unload_ext anabranch``.

    Example:
        >>> %unload_ext anabranch  # doctest: +SKIP
    """
    stand_in.uninstall()
