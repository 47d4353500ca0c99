"""What holds for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow tests last, so that whatever else fails is known before they begin."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def promises() -> str:
    """The page that quotes how many cases each promise is held by."""
    page = Path(__file__).parents[1] / ".github" / "docs" / "promises.md"
    return page.read_text(encoding="utf-8")
