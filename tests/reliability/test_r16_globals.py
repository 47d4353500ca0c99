"""R16: what a program sets for all of its process changes no result: equal sha256, or an error."""

from __future__ import annotations

import platform

import pytest

pytestmark = pytest.mark.reliability

RUN = """
import hashlib, warnings
from pathlib import Path
import numpy as np
from cnnkit import Model, load_spec, train
try:
    run = train(load_spec("small.toml"), out=f"run-{number}")
    images = (np.arange(40 * 64).reshape(40, 8, 8) * 7 % 256).astype(np.uint8)
    y = run.model.predict(images[:, None])
    again = Model.load(Path(run.path, "checkpoints", "last.safetensors")).predict(images[:, None])
    assert y.tobytes() == again.tobytes()
    told = run.summary["weights_sha256"], hashlib.sha256(y.tobytes()).hexdigest()
except Exception as error:
    told = ["error", f"{type(error).__name__}: {error}"]
print()
print(*told)
"""
GLOBALS = {
    "nothing": "",
    "timeout of sockets": "import socket\nsocket.setdefaulttimeout(0.0001)",
    "no waiting of sockets": "import socket\nsocket.setdefaulttimeout(0.0)",
    "warnings as errors": "import warnings\nwarnings.simplefilter('error')",
    "all warnings": "import warnings\nwarnings.simplefilter('always')",
    "NumPy raises": "import numpy\nnumpy.seterr(all='raise')",
    "NumPy prints": "import numpy\nnumpy.seterr(all='print')",
    "NumPy calls": "import numpy\nnumpy.seterr(all='call')\nnumpy.seterrcall(lambda *a: 1 / 0)",
    "print options": "import numpy\nnumpy.set_printoptions(precision=1, legacy='1.13')",
    "size of buffers": "import numpy\nnumpy.setbufsize(160)",
    "global randomness": "import random, numpy\nrandom.seed(1)\nnumpy.random.seed(1)",
    "locale": "import locale\nlocale.setlocale(locale.LC_ALL, 'C')",
    "SIGCHLD ignored": "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "SIGCHLD handled": "import os, signal\n"
    "def reap(*_):\n"
    "    try:\n"
    "        while os.waitpid(-1, os.WNOHANG)[0]: pass\n"
    "    except ChildProcessError: pass\n"
    "signal.signal(signal.SIGCHLD, reap)",
    "SIGPIPE as it is": "import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)",
    "SIGALRM again and again": "import signal\nsignal.signal(signal.SIGALRM, lambda *_: None)\n"
    "signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)",
    "signals interrupt calls": "import signal\nsignal.signal(signal.SIGALRM, lambda *_: None)\n"
    "signal.siginterrupt(signal.SIGALRM, True)\n"
    "signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)",
    "few frames": "import sys\nsys.setrecursionlimit(160)",
    "many frames": "import sys\nsys.setrecursionlimit(100_000)",
    "threads take turns often": "import sys\nsys.setswitchinterval(1e-6)",
    "small stacks": "import threading\nthreading.stack_size(65536)",
    "a tracer": "import sys, threading\nsys.settrace(lambda *_: None)\n"
    "threading.settrace(lambda *_: None)",
    "a profiler": "import sys\nsys.setprofile(lambda *_: None)",
    "no garbage collection": "import gc\ngc.disable()",
    "garbage collected often": "import gc\ngc.set_threshold(1)",
    "few digits": "import sys\nsys.set_int_max_str_digits(640)",
    "a strict umask": "import os\nos.umask(0o077)",
    "decimal context": "import decimal\ndecimal.getcontext().prec = 2",
    "time zone": "import os, time\nos.environ['TZ'] = 'Asia/Kathmandu'\ntime.tzset()",
    "threads of BLAS": "import os\nos.environ.update(OPENBLAS_NUM_THREADS='3')",
    "BLAS on two threads": "import threadpoolctl\nlimit = threadpoolctl.threadpool_limits(2)",
    "a low priority": "import os\nos.nice(5)",
    "one processor": "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
    "no more processes": "import cnnkit.workers, os\n"
    "def no(): raise OSError(11, 'Resource temporarily unavailable')\n"
    "os.fork = no",
    "few descriptors": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))",
    "stdout replaced": "import io, sys\nreal, sys.stderr = sys.stderr, io.StringIO()",
    "an excepthook": "import sys\nsys.excepthook = lambda *_: None",
    "int and float of another width": "import numpy\nnumpy.set_printoptions(floatmode='fixed')",
    "logging": "import logging\nlogging.basicConfig(level=0)\nlogging.raiseExceptions = True",
}
"""Name -> what is run before."""
ROUNDING = {
    "up": "import ctypes\nctypes.CDLL(None).fesetround(0x800)",
    "down": "import ctypes\nctypes.CDLL(None).fesetround(0x400)",
    "to zero": "import ctypes\nctypes.CDLL(None).fesetround(0xC00)",
}
"""Of x86: C99's fesetround with what fenv.h calls FE_UPWARD, FE_DOWNWARD and FE_TOWARDZERO."""


@pytest.fixture
def told(nursery, write_spec, tmp_path):
    """Train and predict with something set; return the sha256 of weights and predictions."""
    layer = '{ type = "dropout", rate = 0.2 }'
    write_spec(epochs=1, threads=2, old='"relu"', new=layer)

    def run(before: str) -> list[str]:
        count.append(1)
        code = f"{before}\n{RUN}".replace("{number}", f"{{{len(count)}}}")
        [ended] = nursery.run(tmp_path, before=code)
        assert ended.code == 0, ended
        return ended.out.splitlines()[-1].split(" ", 1)

    count: list[int] = []
    return run


def test_one_by_one(cases, told):
    expected = told("")
    assert expected[0] != "error", expected
    for name, before in cases.of(GLOBALS.items(), quick=12):
        found = told(before)
        assert found in (expected, ["error", *found[1:]]), (name, found)
        if found[0] == "error":
            assert name in ("few frames", "few descriptors", "small stacks"), found


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="numbers of x86")
def test_rounding(cases, told):
    for before in cases.of(ROUNDING.values(), quick=1):
        assert told(before) == [
            "error",
            "RunError: this process does not round to the nearest number (fesetround), so results "
            "would be others than anywhere else; set FE_TONEAREST before cnnkit is used",
        ]
