"""Run cases in child processes with a time limit each; a child that hangs or dies costs its case alone."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nonsense.target import Target
from nonsense.values import RIGHT

from anabranch import config
from anabranch._errors import AnabranchError

LIMIT = 30.0  # seconds for a call, which takes milliseconds; the machine may be busy
FUNCTIONS = "every_op.py"  # where the functions are that loops and maps are given


@dataclass(frozen=True)
class Outcome:
    """What came of a call.

    Args:
        name: the public name.
        argument: the one that was wrong, "" where none was.
        value: the wrong value's label.
        kind: "refused" by an error of the library's own, "accepted", "raw" for any other error, "hang", "death".
        error: the error's class and message.
        clear: whether the message names the argument or shows the value.
    """

    name: str
    argument: str
    value: str
    kind: str
    error: str = ""
    clear: bool = True


def run(target: Target, cases: Sequence[tuple[str, str]]) -> Iterator[Outcome]:
    """Yield the outcome of each case, in order."""
    left = list(cases)
    while left:
        batch = left[:1] if target.alone else left
        done = 0
        for outcome in _in_child(target, batch):
            done += 1
            yield outcome
        left = left[done:]


def _in_child(target: Target, cases: Sequence[tuple[str, str]]) -> Iterator[Outcome]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(target, cases, writing)
    os.close(writing)
    done, text = 0, b""
    try:
        while done < len(cases):
            ready, _, _ = select.select([reading], [], [], LIMIT)
            more = os.read(reading, 1 << 16) if ready else b""
            if not more:
                kind = "death" if ready else "hang"
                yield Outcome(target.name, *cases[done], kind, _end_of(child) if ready else f"more than {LIMIT} s")
                return
            text += more
            *lines, text = text.split(b"\n")
            for line in lines:
                done += 1
                yield Outcome(**json.loads(line))
    finally:
        os.close(reading)
        _stop(child)


def _end_of(child: int) -> str:
    status = os.waitpid(child, 0)[1]
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"


def _stop(child: int) -> None:
    try:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        return


def _work(target: Target, cases: Sequence[tuple[str, str]], writing: int) -> None:
    """Run cases in the child, which ends here."""
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # for as long as the child lives
    os.chdir(tempfile.mkdtemp(dir=os.environ.get("NONSENSE_FOLDER")))
    warnings.simplefilter("ignore")
    for argument, value in cases:
        os.write(writing, json.dumps(asdict(_outcome(target, argument, value))).encode() + b"\n")
    os._exit(0)


def _outcome(target: Target, argument: str, value: str) -> Outcome:
    try:
        target.run(argument, value)
    except AnabranchError as error:
        return Outcome(target.name, argument, value, "refused", *_described(error, argument, value))
    except BaseException as error:  # whatever it is, it is reported
        place = _place(error)
        if _is_of_sklearn(error):  # whose checks of X and y an estimator must use
            return Outcome(target.name, argument, value, "refused", f"{type(error).__name__}: {error}"[:600])
        if _last_file(error).endswith(FUNCTIONS):  # in a function that the call was given
            return Outcome(target.name, argument, value, "accepted")
        return Outcome(target.name, argument, value, "raw", f"{type(error).__name__}: {error}"[:300] + place, False)
    return Outcome(target.name, argument, value, "accepted")


def _described(error: AnabranchError, argument: str, value: str) -> tuple[str, bool]:
    text = error.plain()
    if value == RIGHT:
        return text, True
    shown = value.removesuffix("()").partition(" ")[0].partition("(")[0].strip("'")
    clear = re.search(rf"\b{re.escape(argument.rstrip('_'))}\b", text) is not None or shown in text
    return f"{type(error).__name__}: {text}"[:600], clear


def _last_file(error: BaseException) -> str:
    """Return the file whose line raised, torch's own code aside."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return next((name for name in reversed(files) if "site-packages" not in name), "")


def _is_of_sklearn(error: BaseException) -> bool:
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return bool(files) and "/sklearn/" in files[-1]


def _place(error: BaseException) -> str:
    """Return the innermost line of the library that the error came through."""
    found, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "/anabranch/" in name:
            found = f" [{name.rpartition('/anabranch/')[2]}:{trace.tb_lineno}]"
        trace = trace.tb_next
    return found


def ready() -> None:
    """Load what calls use, once, before children are made."""
    import torch

    config.disable_traceback_filtering()  # so that a raw error's place is seen
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    warnings.simplefilter("ignore")


def summed(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return how many outcomes there are of each kind."""
    wrong = [each for each in outcomes if each.value != RIGHT]
    counts = {kind: sum(each.kind == kind for each in wrong) for kind in ("refused", "accepted", "raw", "hang", "death")}
    return {"calls": len(wrong), **counts, "unclear": sum(each.kind == "refused" and not each.clear for each in wrong)}
