"""The built-in transforms, registered through the same hook as anybody else's."""

from cnnkit.base import Transform
from cnnkit.hookspecs import hookimpl
from cnnkit.transforms.geometry import Affine as Affine
from cnnkit.transforms.geometry import Crop as Crop
from cnnkit.transforms.geometry import Flip as Flip
from cnnkit.transforms.geometry import Resize as Resize
from cnnkit.transforms.geometry import Shift as Shift
from cnnkit.transforms.mixing import Cutmix as Cutmix
from cnnkit.transforms.mixing import Mixup as Mixup
from cnnkit.transforms.pixels import Invert as Invert
from cnnkit.transforms.pixels import Jitter as Jitter
from cnnkit.transforms.pixels import Normalize as Normalize
from cnnkit.transforms.pixels import RandomErasing as RandomErasing
from cnnkit.transforms.pixels import Scale as Scale


@hookimpl
def cnnkit_transforms() -> list[type[Transform]]:
    """Return the transforms that come with cnnkit."""
    return [
        Scale, Normalize, Invert, Resize,
        Flip, Shift, Crop, Affine, RandomErasing, Jitter,
        Mixup, Cutmix,
    ]  # fmt: skip
