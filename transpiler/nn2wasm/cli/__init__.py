"""The command ``nn2wasm``: one file per verb, text and exit codes; nothing else prints."""

from nn2wasm.cli.command import main

__all__ = ["main"]
