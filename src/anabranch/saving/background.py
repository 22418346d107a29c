"""Writing beside the work that goes on: one write at a time, in a thread that ends with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

Job = Callable[[], None]


class BackgroundWriter:
    """Runs jobs that write files, one at a time; of several that wait the last is run.

    What a job raises is raised by the next call of ``check``, in the thread that asks; until then no other job is run,
    as it would most likely fail in the same way, and the user would hear of it twice.
    """

    def __init__(self) -> None:
        self.spent = 0.0
        """Seconds of a processor that the last job took."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waiting: Job | None = None
        self._error: BaseException | None = None

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._thread is not None

    def submit(self, job: Job) -> None:
        """Run a job next, in the place of one that still waits."""
        with self._lock:
            if self._error is not None:
                return
            self._waiting = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="anabranch-writer")
                self._thread.start()

    def check(self) -> None:
        """Raise what a job raised."""
        with self._lock:
            error, self._error = self._error, None
        if error is not None:
            raise error

    def wait(self) -> None:
        """Wait for what is to be written."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                job, self._waiting = self._waiting, None
                if job is None:
                    self._thread = None
                    return
            begun = time.thread_time()
            try:
                job()
            except BaseException as error:  # whatever it is, the user's thread raises it
                with self._lock:
                    self._error, self._waiting = error, None
            job = None
            self.spent = time.thread_time() - begun
