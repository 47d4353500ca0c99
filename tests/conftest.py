"""What holds for all tests."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow tests last, so that whatever else fails is known before they begin."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
