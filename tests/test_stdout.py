"""Where prints go, with several threads at it."""

from __future__ import annotations

import sys
from io import StringIO
from threading import Event, Thread

from cnnkit.stdout import stdout_to


def test_threads_do_not_lose_the_real_one():
    before, entered, ear = sys.stdout, Event(), StringIO()

    def speak():
        with stdout_to(ear):
            entered.set()
            print("hello")

    thread = Thread(target=speak)
    with stdout_to(StringIO()):
        thread.start()
        assert not entered.wait(0.2)  # else it would take this block's stream for the real one
    thread.join()
    assert sys.stdout is before
    assert ear.getvalue() == "hello\n"
