"""The base class: what it refuses."""

from __future__ import annotations

from abc import ABC
from typing import Literal

import pytest

from cnnkit.base import Observer


def test_an_observer_that_observes_nothing_is_refused():
    with pytest.raises(TypeError) as caught:

        class Deaf(Observer):
            """Forgot its method."""

            type: Literal["deaf"] = "deaf"

            def on_epoch(self, run, record):
                raise NotImplementedError

    assert str(caught.value) == "Deaf observes nothing: define start, epoch or end"


def test_one_method_is_enough_and_may_be_inherited():
    class Base(Observer, ABC):
        """Shares an option; it cannot be named in a spec, so it may observe nothing."""

    class Listener(Base):
        """Hears the end."""

        type: Literal["listener"] = "listener"

        def end(self, run, summary):
            return

    class Heir(Listener):
        """Hears it too."""

        type: Literal["heir"] = "heir"

    assert Heir().start(None) is None
    assert Heir().epoch(None, None) is None
