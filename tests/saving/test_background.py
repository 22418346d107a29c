"""Files that are written beside the training: what fails is raised once."""

import threading

import pytest

from anabranch.saving.background import BackgroundWriter


def test_a_failure_is_raised_once_though_another_job_waited() -> None:
    writer, begun, go, ran = BackgroundWriter(), threading.Event(), threading.Event(), []

    def fail() -> None:
        begun.set()
        go.wait(10)
        raise OSError("full")

    writer.submit(fail)
    assert begun.wait(10)
    writer.submit(lambda: ran.append("waiting"))
    go.set()
    writer.wait()
    writer.submit(lambda: ran.append("after the failure"))
    writer.wait()
    with pytest.raises(OSError, match="full"):
        writer.check()
    writer.check()
    assert ran == []
    writer.submit(lambda: ran.append("after it was raised"))
    writer.wait()
    assert ran == ["after it was raised"]


def test_of_jobs_that_wait_the_last_is_run() -> None:
    writer, begun, go, ran = BackgroundWriter(), threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        ran.append(go.wait(10))

    writer.submit(first)
    assert begun.wait(10)
    for number in range(3):
        writer.submit(lambda number=number: ran.append(number))  # type: ignore[misc]
    go.set()
    writer.wait()
    assert ran == [True, 2]
