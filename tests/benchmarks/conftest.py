"""Puts the benchmarks' folder on the import path; none of these tests times anything."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
