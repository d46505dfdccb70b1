"""Modules of all networks, and the tables that a run ends with."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from networks import Built, Network, build

from nn2wasm.api import Options

Builder = Callable[..., Built]
TABLES = {
    "differences from the recorded outputs, in output steps": "differences",
    "bytes": "bytes",
    "layer by layer, in steps of each layer's output": "layers",
}
KEPT_SECONDS = 3600


@pytest.fixture(scope="session")
def module_cache(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.config.cache.mkdir("nn2wasm-modules")
    for path in folder.iterdir():  # sources change, and each state of them leaves its modules
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink()
    return folder


@pytest.fixture(scope="session")
def built(request: pytest.FixtureRequest, module_cache: Path) -> Iterator[Builder]:
    """built(network, target="wasm", **options): the network's module.

    Those of the session are compiled ahead, for the parameters `targets` and `optimize` of a test
    where it has them.
    """
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    futures: dict[tuple[str, str, str], Future[Built]] = {}

    def get(network: Network, target: str = "wasm", **options: object) -> Future[Built]:
        chosen = Options(**options)  # type: ignore[arg-type]
        key = (network.name, target, repr(chosen))
        if key not in futures:
            futures[key] = pool.submit(build, network, module_cache, chosen, target)
        return futures[key]

    if "PYTEST_XDIST_WORKER" not in os.environ:  # there each worker builds what it tests
        for item in request.session.items:
            params = item.callspec.params if hasattr(item, "callspec") else {}
            network = params.get("network")
            if isinstance(network, Network) and "built" in item.fixturenames:
                options = {key: params[key] for key in ("optimize",) if key in params}
                for target in params.get("targets", ("wasm",)):
                    get(network, target, **options)
    yield lambda network, **options: get(network, **options).result()
    pool.shutdown(cancel_futures=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows: dict[str, list[str]] = {}
    for outcome in ("passed", "failed", "xfailed"):
        for report in terminalreporter.stats.get(outcome, []):
            for key, value in getattr(report, "user_properties", ()):
                rows.setdefault(key, []).append(value)
    for title, key in TABLES.items():
        if rows.get(key):
            terminalreporter.write_sep("-", title)
            for row in sorted(rows[key]):
                terminalreporter.write_line(row)
