"""Let the tests here import the tables beside them, as the script make_reference.py does."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
