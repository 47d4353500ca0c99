"""Pure NumPy arithmetic: one file per operation, each function `(y, backward)`."""
