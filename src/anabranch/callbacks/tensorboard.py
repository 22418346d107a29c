"""The callback that writes event files for TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anabranch._arguments import guarded
from anabranch._asked import is_integer, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, unknown
from anabranch._fields import Field, boolean, field, integer
from anabranch._files import reached
from anabranch.callbacks.callback import Configured, Logs
from anabranch.callbacks.curves import is_number
from anabranch.graph import Graph, Shape, Weight, spec_leaves
from anabranch.graph.flatten import flatten

if TYPE_CHECKING:
    import numpy as np

    from anabranch.runtime.event_files import EventFile, Trace


def _folder(value: object, owner: object, name: str) -> str:
    if not isinstance(value, (str, Path)):
        raise ArgumentTypeError(f"{name} of TensorBoard must be a path.", got=shown(value))
    return str(value)


def _frequency(value: object, owner: object, name: str) -> int | str:
    if value == "batch":
        return 1
    if value == "epoch" or (is_integer(value) and value >= 1):
        return value  # type: ignore[return-value]  # checked above
    raise ArgumentError("update_freq must be 'batch', 'epoch' or a number of batches.", got=shown(value))


def _batches(value: object, owner: object, name: str) -> int | tuple[int, int]:
    """Return which batches are profiled: none (0), one, or from one to another."""
    parts: Any = value.split(",") if isinstance(value, str) else value
    pair = list(parts) if isinstance(parts, (list, tuple)) else [parts]
    try:
        numbers = [int(each) for each in pair] if not any(isinstance(each, (bool, float)) for each in pair) else []
    except (TypeError, ValueError):
        numbers = []
    if numbers == [0]:
        return 0
    if len(numbers) in (1, 2) and 1 <= numbers[0] <= numbers[-1]:
        return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])
    raise ArgumentError("profile_batch must be the number of a batch, or of a first and a last one.",
                        expected="0 for none, 5, or (5, 10)", got=shown(value))  # fmt: skip


def _metadata(value: object, owner: object, name: str) -> str | dict[str, str] | None:
    if value is None or isinstance(value, (str, Path)):
        return None if value is None else str(value)
    if isinstance(value, Mapping) and all(isinstance(part, (str, Path)) for pair in value.items() for part in pair):
        return {str(layer): str(file) for layer, file in value.items()}
    raise ArgumentTypeError(
        "embeddings_metadata must be a file, or a dict from names of Embedding layers to files.", got=shown(value)
    )


class TensorBoard(Configured):
    """Write metrics, the graph, and where asked weights, embeddings and a profile, for ``tensorboard --logdir logs``.

    Runs are ``train`` and ``validation``; tags are Keras's: ``epoch_loss``, ``batch_loss``, ``evaluation_loss_vs_iterations``.
    Needs the extra ``tensorboard``.

    Example:
        >>> TensorBoard("logs/first", histogram_freq=1, update_freq="batch").update_freq
        1
    """

    log_dir: Field[str | Path, str] = field(default="logs", convert=_folder, doc="the folder, of this run alone.")
    histogram_freq: Field[int, int] = integer(
        default=0, least=0, doc="after how many epochs histograms of the weights are written; 0: never."
    )
    write_graph: Field[bool, bool] = boolean(default=True, doc="whether the graph of layers is written.")
    write_images: Field[bool, bool] = boolean(
        default=False, doc="whether weights are written as images, too, where histograms are."
    )
    write_steps_per_second: Field[bool, bool] = boolean(default=False, doc="whether steps per second are written.")
    update_freq: Field[int | str, int | str] = field(
        default="epoch",
        convert=_frequency,
        doc="'epoch'; or 'batch' or a number of batches, after which metrics are written, too.",
    )
    profile_batch: Field[Any, int | tuple[int, int]] = field(
        default=0, convert=_batches,
        doc="the number of a batch, from 1, or those of the first and the last one, that torch's profiler records; 0: none.",
    )  # fmt: skip
    embeddings_freq: Field[int, int] = integer(
        default=0, least=0, doc="after how many epochs the rows of Embedding layers are written, for the projector; 0: never."
    )
    embeddings_metadata: Field[Any, str | dict[str, str] | None] = field(
        default=None, convert=_metadata,
        doc="a file with a line for each row of an embedding, or a dict of such files by the layers' names.",
    )  # fmt: skip

    def _check_(self) -> None:
        super()._check_()
        self._files: dict[str, EventFile] = {}
        self._trace: Trace | None = None
        self._before = self._here = self._logged = 0  # steps of earlier epochs, of this one, at which metrics were written
        self._iterations = 0
        self._epoch_began = self._batch_began = 0.0
        if self.update_freq != "epoch" or self.profile_batch:  # only then are they called for batches
            self.on_train_batch_begin = self._begin_batch  # type: ignore[method-assign]
            self.on_train_batch_end = self._end_batch  # type: ignore[method-assign]

    # Hooks

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Write the graph."""
        self._before = self._here = self._logged = 0
        if self.embeddings_freq:
            self._check_metadata()
        graph: Graph | None = self.model._graph_
        if self.write_graph and graph is not None:
            self._file("train").graph(_nodes(graph))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the time."""
        self._here = 0
        self._epoch_began = time.perf_counter()
        self._iterations = int(self.model.optimizer.iterations)

    def _begin_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batch_began = time.perf_counter()
        first = self.profile_batch if isinstance(self.profile_batch, int) else self.profile_batch[0]
        if self._trace is None and first and self._before + batch + 1 == first:
            from anabranch.runtime.event_files import Trace

            self._trace = Trace(Path(self.log_dir) / "train")

    def _end_batch(self, batch: int, logs: Logs | None = None) -> None:
        done, self._here = batch + 1 - self._here, batch + 1
        step = self._before + self._here
        last = self.profile_batch if isinstance(self.profile_batch, int) else self.profile_batch[1]
        if self._trace is not None and step >= last:
            self._end_trace()
        if isinstance(self.update_freq, int) and step // self.update_freq > self._logged // self.update_freq:
            self._logged = step
            self._write("train", {f"batch_{name}": value for name, value in (logs or {}).items()}, step)
            if self.write_steps_per_second:
                rate = done / max(time.perf_counter() - self._batch_began, 1e-9)
                self._write("train", {"batch_steps_per_second": rate}, step)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the epoch's metrics and, where it is due, weights and embeddings."""
        self._before, self._here = self._before + self._here, 0
        logs, optimizer = logs or {}, self.model.optimizer
        trained = {f"epoch_{name}": value for name, value in logs.items() if not name.startswith("val_")}
        trained["epoch_learning_rate"] = float(optimizer.learning_rate)
        if self.write_steps_per_second:
            seconds = max(time.perf_counter() - self._epoch_began, 1e-9)
            trained["epoch_steps_per_second"] = (int(optimizer.iterations) - self._iterations) / seconds
        self._write("train", trained, epoch)
        validated = {f"epoch_{n.removeprefix('val_')}": value for n, value in logs.items() if n.startswith("val_")}
        self._write("validation", validated, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings(epoch)
        for file in self._files.values():
            file.flush()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Write what was evaluated, by the number of updates so far."""
        if self.model.optimizer is not None:
            values = {f"evaluation_{name}_vs_iterations": value for name, value in (logs or {}).items()}
            self._write("validation", values, int(self.model.optimizer.iterations))

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the files."""
        self.on_close()

    def on_close(self) -> None:
        """Close the files, also where training failed."""
        self._end_trace()
        files, self._files = self._files, {}
        for file in files.values():
            file.close()

    def get_state(self) -> dict[str, Any]:
        """Return how many steps earlier epochs took, and when metrics were last written."""
        return {"steps": self._before, "written": self._logged}

    @guarded
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on counting steps.

        Args:
            state: what ``get_state`` returned.
        """
        self._before, self._logged = state["steps"], state["written"]

    # What is written

    def _file(self, run: str) -> EventFile:
        if run not in self._files:
            from anabranch.runtime.event_files import EventFile

            self._files[run] = EventFile(Path(self.log_dir) / run)
        return self._files[run]

    def _write(self, run: str, values: Mapping[str, object], step: int) -> None:
        for tag, value in values.items():
            if is_number(value):
                self._file(run).scalar(tag, float(value), step)

    def _write_weights(self, epoch: int) -> None:
        import numpy as np

        for weight in self.model.weights:
            values = weight.numpy().astype("float32")
            if np.isfinite(values).any():
                self._file("train").histogram(f"{weight.path}/histogram", values[np.isfinite(values)], epoch)
            image = _as_images(values) if self.write_images else None
            if image is not None:
                self._file("train").image(f"{weight.path}/image", image, epoch)

    def _embeddings(self) -> dict[str, Weight]:
        """Return the tables of Embedding layers by the layers' paths."""
        return {weight.path.rpartition("/")[0]: weight for weight in self.model.weights if weight.name == "embeddings"}

    def _check_metadata(self) -> None:
        names = [path.rpartition("/")[2] for path in self._embeddings()]
        for name in self.embeddings_metadata if isinstance(self.embeddings_metadata, dict) else ():
            if name not in names:
                raise unknown("Embedding layer", name, names)

    def _write_embeddings(self, epoch: int) -> None:
        given = self.embeddings_metadata
        for path, weight in self._embeddings().items():
            file = given.get(path.rpartition("/")[2]) if isinstance(given, dict) else given
            rows = weight.numpy()
            labels, header = (None, None) if file is None else _labels(file, len(rows))
            self._file("train").embedding(path, rows, labels, header, epoch)

    def _end_trace(self) -> None:
        trace, self._trace = self._trace, None
        if trace is not None:
            trace.stop()


def _nodes(graph: Graph) -> Iterator[tuple[str, str, Sequence[str], Sequence[Shape]]]:
    """Yield the nodes of a graph with its nested models opened, as ``EventFile.graph`` takes them."""
    flat = flatten(graph)
    makers: dict[int, str] = {}
    for number, tensor in zip(flat.inputs, graph.inputs, strict=True):
        makers[number] = graph.names[tensor.node.operation]
        yield makers[number], "Input", (), [tensor.shape]
    for step in flat.steps:
        name = (step.call or step.path).replace("@", "_call_")
        for number in step.outputs:
            makers[number] = name
        shapes = [spec.shape for spec in spec_leaves(step.node.output_specs)]
        yield name, step.node.operation._summary_kind_(), [makers[k] for k in step.inputs if k in makers], shapes


def _as_images(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Return a weight as images (N, H, W, 1) with values from 0 to 1; None where its rank is not that of one."""
    import numpy as np

    found = values.squeeze()
    if found.ndim == 1:
        found = found[None]
    if found.ndim == 2:
        found = (found.T if found.shape[0] > found.shape[1] else found)[..., None]
    if found.ndim != 3 or not np.isfinite(found).all():
        return None
    spread = float(np.ptp(found)) or 1.0
    scaled: np.ndarray[Any, Any] = ((found - found.min()) / spread).transpose(2, 0, 1)[..., None]
    return scaled


def _labels(file: str, rows: int) -> tuple[list[Any], list[str] | None]:
    """Return what a file says of each row of an embedding; where it has several columns, their titles as well."""
    with reached("read", file):
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    cells = [line.split("\t") for line in lines]
    header = cells.pop(0) if cells and len(cells[0]) > 1 else None
    if len(cells) != rows:
        raise ArgumentError(f"{file} must have a line for each row of the embedding.", expected=str(rows), got=str(len(cells)))
    return (cells if header else lines), header
