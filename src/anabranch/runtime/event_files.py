"""Event files of TensorBoard, by torch's own writer, and traces by torch's profiler."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from anabranch._errors import MissingExtraError
from anabranch._files import reached

if TYPE_CHECKING:
    import numpy as np

    from anabranch.graph import Shape


class EventFile:
    """An event file in a folder, which is made where it is missing.

    Args:
        folder: where the file is written.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError(
                "Event files of TensorBoard need the package tensorboard, which is not installed.",
                repair="pip install anabranch[tensorboard]; or callbacks.CSVLogger, which needs none",
            ) from error
        with reached("write into", folder):
            self._writer: Any = SummaryWriter(str(folder))  # type: ignore[no-untyped-call]  # untyped in torch

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write a number."""
        self._writer.add_scalar(tag, value, step)

    def histogram(self, tag: str, values: np.ndarray[Any, Any], step: int) -> None:
        """Write a histogram of values, of which there must be some that are finite."""
        self._writer.add_histogram(tag, values, step)

    def image(self, tag: str, images: np.ndarray[Any, Any], step: int) -> None:
        """Write images (N, H, W, C) with values from 0 to 1, side by side."""
        self._writer.add_images(tag, images, step, dataformats="NHWC")

    def embedding(self, tag: str, rows: np.ndarray[Any, Any], labels: Sequence[object] | None, header: Any, step: int) -> None:
        """Write the rows of an embedding, and what each is called."""
        self._writer.add_embedding(rows, metadata=labels, metadata_header=header, global_step=step, tag=tag)

    def graph(self, nodes: Iterable[tuple[str, str, Sequence[str], Sequence[Shape]]]) -> None:
        """Write a graph: of each node its name, its kind, the names of what it takes, and the shapes of its outputs."""
        from tensorboard.compat.proto.attr_value_pb2 import AttrValue
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.graph_pb2 import GraphDef
        from tensorboard.compat.proto.node_def_pb2 import NodeDef
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

        found = GraphDef()
        for name, kind, sources, shapes in nodes:
            node = NodeDef(name=name, op=kind, input=sources)
            protos = [TensorShapeProto(dim=[TensorShapeProto.Dim(size=-1 if n is None else n) for n in s]) for s in shapes]
            node.attr["_output_shapes"].CopyFrom(AttrValue(list=AttrValue.ListValue(shape=protos)))
            found.node.append(node)
        self._writer._get_file_writer().add_event(Event(graph_def=found.SerializeToString()))

    def flush(self) -> None:
        """Put what was written on the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


class Trace:
    """A trace of what runs between its creation and ``stop``, written into a folder as ``….pt.trace.json``.

    Args:
        folder: where the file is written.
    """

    def __init__(self, folder: str | Path) -> None:
        written = torch.profiler.tensorboard_trace_handler(str(folder))
        self._profiler = torch.profiler.profile(on_trace_ready=written)
        self._profiler.start()

    def stop(self) -> None:
        """Write the trace."""
        self._profiler.stop()
