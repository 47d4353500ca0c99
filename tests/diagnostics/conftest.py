"""Let the tests here import what stands beside them, as the script rewrite.py does."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
