"""Contenders' processes, as the driver sees them: which interpreter, a warm one that answers, one that runs to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from contenders import Contender


class FailedError(Exception):
    """A contender could not do it."""


def interpreter_for(contender: Contender, pythons: list[str]) -> str | None:
    """Return the first interpreter that has what the contender needs."""
    test = f"import importlib.util as u, sys; sys.exit(not all(u.find_spec(n) for n in {contender.needs!r}))"
    for python in pythons:
        if subprocess.run([python, "-c", test], check=False, stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return None


class Worker:
    """A warm process of one contender."""

    def __init__(self, words: list[str], environment: dict[str, str], patience: float) -> None:
        self.patience = patience
        self.complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            words, stdin=pipe, stdout=pipe, stderr=self.complaints, text=True, env=environment, errors="replace"
        )
        self.facts = self.read()

    def read(self) -> dict[str, Any]:
        """Return the next thing that it says; one that is silent for too long is ended."""
        clock = threading.Timer(self.patience, self.process.kill)
        clock.start()
        try:
            for line in self.process.stdout:
                if line.startswith("@bench "):
                    return json.loads(line[7:])
        finally:
            clock.cancel()
        code = self.process.wait()
        self.complaints.seek(0)
        last = [line.strip() for line in self.complaints.read().splitlines() if line.strip()][-3:]
        late = f" (silent for {self.patience:.0f} s?)" if code == -9 else ""
        raise FailedError(f"ended with exit code {code}{late}: {' | '.join(last)[-500:]}")

    def timed(self, case: str) -> dict[str, Any]:
        """Return what the worker says of one pass."""
        try:
            self.process.stdin.write(json.dumps(case) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise FailedError(str(error)) from error
        answer = self.read()
        if "error" in answer:
            raise FailedError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.complaints.close()


def once(words: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Run a process to its end and return its wall seconds and greatest memory, as the system has them, and what it says."""
    with tempfile.TemporaryFile("w+") as said:
        begin = time.perf_counter()
        process = subprocess.Popen(words, env=environment, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        lines = said.read().splitlines()
    if status:
        raise FailedError(f"exit code {process.returncode}: {' | '.join(lines[-3:])[-500:]}")
    found = {"wall": seconds, "memory_mb": usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)}
    for line in lines:
        if line.startswith("@bench "):
            found["fit"] = json.loads(line[7:])["seconds"]
    return found
