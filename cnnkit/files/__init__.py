"""Files: the only code in cnnkit that writes what must last."""

from cnnkit.files.durable import append_line, make_folder, read_bytes, write_durably
from cnnkit.files.tensors import digest, load_tensors, save_tensors

__all__ = [
    "append_line",
    "digest",
    "load_tensors",
    "make_folder",
    "read_bytes",
    "save_tensors",
    "write_durably",
]
