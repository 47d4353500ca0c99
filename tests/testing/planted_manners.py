"""Bugs in what a layer does besides computing."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from planted import Gain, planted


@planted("silent")
class Chatty(Gain):
    """A forgotten print."""

    type: Literal["chatty"] = "chatty"

    def forward(self, x, w, ctx):
        print("forward", x.shape)
        return super().forward(x, w, ctx)


@planted("silent")
class Progressive(Gain):
    """A progress line on stderr, in backward."""

    type: Literal["progressive"] = "progressive"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y, lambda dy: (print("backward", file=sys.stderr), back(dy))[1]


@planted("no_side_effects")
class ReadsFile(Gain):
    """A file is opened in forward."""

    type: Literal["reads_file"] = "reads_file"

    def forward(self, x, w, ctx):
        Path(os.devnull).read_text()
        return super().forward(x, w, ctx)


@planted("no_side_effects")
class Spawns(Gain):
    """A process is started in weights."""

    type: Literal["spawns"] = "spawns"

    def weights(self, shape):
        subprocess.run([sys.executable, "-S", "-c", ""], check=True)
        return super().weights(shape)


@planted("no_side_effects")
class PhonesHome(Gain):
    """A host name is looked up."""

    type: Literal["phones_home"] = "phones_home"

    def forward(self, x, w, ctx):
        socket.gethostbyname("localhost")
        return super().forward(x, w, ctx)


@planted("global_randomness_untouched")
class GlobalNoise(Gain):
    """np.random.standard_normal instead of ctx.rng()."""

    type: Literal["global_noise"] = "global_noise"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y + 0.1 * ctx.training * np.random.standard_normal(x.shape), back


@planted("global_randomness_untouched")
class Reseeds(Gain):
    """random.seed in weights."""

    type: Literal["reseeds"] = "reseeds"

    def weights(self, shape):
        random.seed(shape[0])
        return super().weights(shape)


@planted("no_warnings")
class Dividing(Gain):
    """0 / 0 mended afterwards: right, with a warning."""

    type: Literal["dividing"] = "dividing"

    def forward(self, x, w, ctx):
        y, back = super().forward(x, w, ctx)
        return y * np.nan_to_num(x / x, nan=1.0), back


@planted("keeps_no_state")
class Remembers(Gain):
    """forward stores x on self, for backward to find."""

    type: Literal["remembers"] = "remembers"

    def forward(self, x, w, ctx):
        self.__dict__["x"] = x
        return super().forward(x, w, ctx)


@planted("keeps_no_state")
class CountsCalls(Gain):
    """A counter on the class."""

    type: Literal["counts_calls"] = "counts_calls"
    calls: ClassVar[list[int]] = []

    def forward(self, x, w, ctx):
        self.calls.append(len(x))
        return super().forward(x, w, ctx)
