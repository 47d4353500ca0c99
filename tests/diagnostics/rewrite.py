"""Write the golden texts anew: `python tests/diagnostics/rewrite.py`, then read the diff."""

from __future__ import annotations

from corpus import FOLDER, FOREIGN, FOREIGN_SPECS, SPECS, check


def rewrite() -> None:
    """Write a text beside each spec, and take away the texts of specs that are gone."""
    for old in FOLDER.rglob("*.txt"):
        old.unlink()
    for spec in [*SPECS, *FOREIGN_SPECS]:
        verdict = check(spec, FOREIGN if spec in FOREIGN_SPECS else ())
        if verdict.code != 2:
            raise SystemExit(f"{spec.name} is accepted, or crashes the check: {verdict}")
        spec.with_suffix(".txt").write_text(verdict.text, encoding="utf-8", newline="\n")
    print(f"{len(SPECS) + len(FOREIGN_SPECS)} texts written")


if __name__ == "__main__":
    rewrite()
