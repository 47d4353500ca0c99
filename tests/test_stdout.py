"""Where prints go, with several threads at it."""

from __future__ import annotations

import sys
from io import StringIO
from threading import Barrier, Thread

from cnnkit.stdout import stdout_to


def test_threads_do_not_lose_the_real_one():
    before, meet, heard = sys.stdout, Barrier(4, timeout=20), []

    def speak():
        meet.wait()
        for number in range(200):
            ear = StringIO()
            with stdout_to(ear):
                print(number)
            heard.append(ear.getvalue() == f"{number}\n")

    threads = [Thread(target=speak) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.stdout is before
    assert heard == [True] * 800
