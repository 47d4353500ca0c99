"""What is known of a spec's images before they are loaded."""

from __future__ import annotations

from cnnkit.arrays import Shape
from cnnkit.base import Places, Signature
from cnnkit.spec.checks import known_signature, network_input
from cnnkit.spec.runspec import RunSpec


def known(spec: RunSpec) -> tuple[Shape | None, Signature | None]:
    """Return the shape at the first layer and the data's signature; None for what is unknown."""
    signature = known_signature(spec.data, Places(spec_dir=spec.source.folder))
    return (network_input(spec.data, signature) if signature else spec.input_shape), signature
