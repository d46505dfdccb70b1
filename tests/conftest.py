"""Puts this folder on the import path: `from engines import run_in`."""
