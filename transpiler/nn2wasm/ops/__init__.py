"""What operations are: one file per family, with their kernels' tables. Importing this registers
all.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
