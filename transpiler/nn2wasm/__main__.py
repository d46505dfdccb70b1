"""``python -m nn2wasm`` is the command ``nn2wasm``."""

import sys

from nn2wasm.cli import main

sys.exit(main())
