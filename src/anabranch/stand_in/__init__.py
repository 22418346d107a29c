"""What makes ``import keras`` and ``from tensorflow import keras`` mean anabranch, in this process and in those it starts.

A finder at the head of ``sys.meta_path`` serves every module named ``keras``, ``tf_keras`` or ``tensorflow``, and those inside,
as a view of anabranch. Real installations of Keras are neither needed nor touched; what is not Keras's of ``tensorflow`` is
that of an installed TensorFlow.
"""

from __future__ import annotations

import sys

from anabranch import config
from anabranch.graph.call_site import warn
from anabranch.stand_in import children, real_tensorflow
from anabranch.stand_in.finder import Finder
from anabranch.stand_in.former import saying, teaching
from anabranch.stand_in.views import ROOTS, View, is_tensorflow


def install() -> None:
    """Let the names mean anabranch from now on; merges stretch as Keras's do, with a warning."""
    config.set_strict_merges(False)
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        _replace_loaded()
        saying.forget()
        teaching.begin()
        sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]  # a finder by duck: importlib.abc costs 13 ms
        children.install()


def uninstall() -> None:
    """Let the names mean what is installed again."""
    config.set_strict_merges(True)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
    for name in [name for name, module in sys.modules.items() if isinstance(module, View)]:
        del sys.modules[name]
    teaching.end()
    children.uninstall()
    real_tensorflow.release()


def _replace_loaded() -> None:
    """Let later imports find the views where a real Keras was imported before, and warn of it."""
    tensorflow = sys.modules.pop(real_tensorflow.NAME, None)
    if tensorflow is not None:
        real_tensorflow.take(tensorflow)
    loaded = [name for name in sys.modules if name.partition(".")[0] in ROOTS and not is_tensorflow(name)]
    for name in loaded:
        del sys.modules[name]
    if loaded:
        root = loaded[0].partition(".")[0]
        warn(f"{root} was imported before anabranch took its place: what was imported from it stays {root}'s own.")
