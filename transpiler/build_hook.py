"""Puts templates/ and runtime_c/ inside real wheels; editable installs read them in place."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DataFolders(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            for name in ("templates", "runtime_c"):
                build_data["force_include"][name] = f"nn2wasm/{name}"
