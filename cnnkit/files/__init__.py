"""Files: the only code in cnnkit that writes what must last."""
