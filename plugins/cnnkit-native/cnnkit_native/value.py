"""A value of a program: where one operation's result lies, and what it looks like there."""

from __future__ import annotations

from dataclasses import dataclass

ARENA, X, Y, DY, DX = range(5)


@dataclass(eq=False)
class Value:
    """Memory of one result for one image: a map of (C, H, W), padded or not.

    Args:
        space: ARENA, X, Y, DY or DX.
        pitch: from row to row.
        plane: from channel to channel.
        first: where the map begins.
        size: numbers, with what lies around the map.
        framed: whether zeros must lie around it.
        shared: one for all images, such as packed weights.
    """

    space: int
    C: int
    H: int
    W: int
    pitch: int
    plane: int
    first: int
    size: int
    framed: bool = False
    shared: bool = False
    fixed: int = 0
    per_image: int = 0
    step: int = 0

    def numbers(self) -> list[int]:
        place = [self.space, self.fixed, self.per_image, self.step, self.size]
        form = [self.C, self.H, self.W, self.pitch, self.plane, self.first, int(self.framed)]
        return place + form


def compact(space: int, C: int, H: int, W: int) -> Value:
    """Return a map without gaps, one after the other for the images of x, y, dy and dx."""
    size = C * H * W
    return Value(space, C, H, W, W, H * W, 0, size, step=0 if space == ARENA else size)


def shared(size: int) -> Value:
    """Return room for `size` numbers that all images use, such as packed weights."""
    value = compact(ARENA, 1, 1, size)
    value.shared = True
    return value
