"""Specs: TOML files read into what may be said, checked, and written out whole."""
