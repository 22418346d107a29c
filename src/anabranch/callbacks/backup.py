"""The callback that lets a run which was killed go on where it was: BackupAndRestore."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, FileFormatError
from anabranch._fields import Field, boolean, field
from anabranch._files import reached
from anabranch.callbacks.callback import Configured
from anabranch.callbacks.checkpoint import frequency
from anabranch.graph.call_site import warn
from anabranch.registry import Json
from anabranch.saving import files, state_file
from anabranch.saving.background import BackgroundWriter

_FILE, _BEFORE = "backup.safetensors", "backup.before.safetensors"
_SHARE = 0.03  # of the time that backups every few batches may take
_WHAT = {"model": "of another model", "compile": "of a model compiled with other arguments", "data": "of other data"}


class Run(Protocol):
    """A fit in progress."""

    @property
    def identity(self) -> dict[str, dict[str, Json]]:
        """What must not differ where it is resumed, by kinds."""

    def state(self) -> dict[str, Any]:
        """Return a copy of all that the rest of the run depends on."""


def _folder(value: Any, owner: object, name: str) -> Path:
    try:
        found = Path(value)
    except TypeError as error:
        raise ArgumentTypeError(f"{name} must be the path of a folder.", got=shown(value)) from error
    if not str(value):
        raise ArgumentError(f"{name} must be the path of a folder.", got=repr(value))
    return found


class BackupAndRestore(Configured):
    """Save the run as it goes, so that the same script, started again after a crash, goes on where it was.

    A backup holds weights, the optimizer's state, all random generators, the position in the data, the history, metrics inside
    an epoch and ``get_state()`` of the other callbacks. On a CPU with the same number of threads the resumed run ends with the
    weights, bit by bit, of a run that was never killed. Backups are taken after a step and written by a thread beside the next
    ones; the file is the old one or the new one, whole. A backup of another model, of other data or of other arguments of
    ``compile`` is refused.

    Example:
        >>> from anabranch import Sequential, layers
        >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
        >>> model.compile("sgd", loss="mse")
        >>> backup = BackupAndRestore("run", delete_checkpoint=False)
        >>> _ = model.fit([[1.0]], [[2.0]], epochs=2, verbose=0, callbacks=[backup])
        >>> model.fit([[1.0]], [[2.0]], epochs=3, verbose=0, callbacks=[backup]).epoch
        [0, 1, 2]
    """

    backup_dir: Field[str | Path, Path] = field(convert=_folder, plain=str, doc="the folder of the backup, of one run alone.")
    save_freq: Field[int | Literal["epoch"], int | Literal["epoch"]] = field(
        default="epoch", convert=frequency,
        doc="'epoch', or after how many batches a backup is due; it waits where backups would take more than 3 % of the time.",
    )  # fmt: skip
    double_checkpoint: Field[bool, bool] = boolean(
        default=False, doc="whether the backup before the last stays as well, for the case that the last is lost."
    )
    delete_checkpoint: Field[bool, bool] = boolean(
        default=True, doc="whether the backup is deleted when training ends; one that Ctrl-C ended goes on the next time."
    )

    def _check_(self) -> None:
        super()._check_()
        self._writer = BackgroundWriter()
        self._batches = 0  # since the last backup
        self._taken_at = self._took = 0.0

    # What ``fit`` calls, when all callbacks have seen the batch or the epoch

    def find(self, run: Run) -> Mapping[str, Any] | None:
        """Return the state that a run left which did not end; None where there is none.

        Args:
            run: the run that begins.

        Raises:
            ArgumentError: the backup is of another model, of other data or of other arguments of ``compile``.
            FileFormatError: the file is damaged.
        """
        self._batches = 0
        for part in self.backup_dir.glob(f".{_FILE}.*.part"):  # of a process that was killed while it wrote
            with contextlib.suppress(OSError):
                part.unlink()
        for name in (_FILE, _BEFORE):
            path = self.backup_dir / name
            try:
                with reached("read", path):
                    data = path.read_bytes()
            except FileNotFoundError:
                continue
            try:
                found = state_file.stored(data, str(path))
                identity, state = found["identity"], found["state"]
            except (FileFormatError, LookupError, TypeError) as error:
                if name == _FILE and (self.backup_dir / _BEFORE).exists():
                    warn(f"{path} is damaged, so the backup before it is used.")
                    continue
                raise FileFormatError(
                    f"The backup {path} is damaged.", got=str(error)[:200], repair="delete it to begin again"
                ) from error
            self._compare(identity, run.identity)
            return state  # type: ignore[no-any-return]  # a dict, as it was written
        return None

    def step_done(self, run: Run) -> None:
        """Take a backup where one is due after a batch.

        Args:
            run: the run.
        """
        self._writer.check()
        self._batches += 1
        if self.save_freq == "epoch" or self._batches < self.save_freq or self._writer.busy:
            return
        if time.perf_counter() - self._taken_at >= (self._took + self._writer.spent) / _SHARE:
            self._save(run)

    def epoch_done(self, run: Run) -> None:
        """Take a backup where one is due after an epoch.

        Args:
            run: the run.
        """
        self._writer.check()
        if self.save_freq == "epoch":
            self._save(run)

    def finished(self, *, interrupted: bool) -> None:
        """Wait for the last backup, and delete it where training came to its end.

        Args:
            interrupted: whether Ctrl-C ended it.
        """
        self._writer.wait()
        self._writer.check()
        if self.delete_checkpoint and not interrupted:
            for name in (_FILE, _BEFORE):
                with reached("delete", self.backup_dir / name), contextlib.suppress(FileNotFoundError):
                    (self.backup_dir / name).unlink()
            with contextlib.suppress(OSError):  # other files may be in it
                self.backup_dir.rmdir()

    def on_close(self) -> None:
        """Wait for the last backup, also where training failed."""
        self._writer.wait()
        try:
            self._writer.check()
        except OSError as error:  # another error is on its way to the user
            warn(f"The last backup was not written. {error}")

    # Writing

    def _save(self, run: Run) -> None:
        begun = time.perf_counter()
        self._writer.submit(functools.partial(self._write, {"identity": run.identity, "state": run.state()}))
        self._batches, self._taken_at = 0, time.perf_counter()
        self._took = self._taken_at - begun

    def _write(self, content: Mapping[str, Any]) -> None:
        path = self.backup_dir / _FILE
        with reached("write", path):
            self.backup_dir.mkdir(parents=True, exist_ok=True)
            if self.double_checkpoint:
                with contextlib.suppress(FileNotFoundError):
                    path.replace(self.backup_dir / _BEFORE)
        files.write(path, state_file.written(content))

    def _compare(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Raise where a backup is not of this run."""
        for kind, what in _WHAT.items():
            old, new = before[kind], now[kind]
            differing = [key for key in {**old, **new} if old.get(key) != new.get(key)]
            if differing:
                key = differing[0]
                more = f", and {len(differing) - 1} more" if differing[1:] else ""
                raise ArgumentError(
                    f"The backup in {str(self.backup_dir)!r} is {what}.",
                    expected=f"{key}: {_short(old.get(key))}, as in the backup{more}",
                    got=f"{key}: {_short(new.get(key))}",
                    repair="give this run a backup_dir of its own, or delete that folder to begin again",
                )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
