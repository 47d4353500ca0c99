"""Specs: read from TOML, checked as a whole, and written back with every default."""
