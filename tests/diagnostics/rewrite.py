"""Write the golden texts anew: `python tests/diagnostics/rewrite.py`, then read the diff."""

from __future__ import annotations

from corpus import FOLDER, SPECS, check


def rewrite() -> None:
    """Write a text beside each spec, and take away the texts of specs that are gone."""
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for spec in SPECS:
        verdict = check(spec)
        if verdict.code != 2:
            raise SystemExit(f"{spec.name} is accepted, or crashes the check: {verdict}")
        spec.with_suffix(".txt").write_text(verdict.text, encoding="utf-8", newline="\n")
    print(f"{len(SPECS)} texts written")


if __name__ == "__main__":
    rewrite()
