"""A headless Chromium that computes jobs, driven through a page that this process serves to it."""

from __future__ import annotations

import atexit
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nn2wasm.resources import data_folder

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root, as in containers, cannot have one; the page is our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
)
START_SECONDS = 60
JOB_SECONDS = 120
POLL_SECONDS = 5

TESTS = Path(__file__).parent
PAGES = {
    "/": (TESTS / "run_in_browser.html", "text/html"),
    "/run_jobs.mjs": (TESTS / "run_jobs.mjs", "text/javascript"),
    "/loader.mjs": (data_folder("templates") / "model" / "loader.mjs", "text/javascript"),
}


@cache
def chromium() -> Chromium:
    """The browser of this process; the test is skipped where there is none that starts."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("Chromium is not installed (tests/install_chromium.sh)")
    return Chromium(path)


class Chromium:
    """A browser and the server of its only page."""

    def __init__(self, path: str) -> None:
        self._jobs: queue.Queue[str] = queue.Queue()
        self._answers: queue.Queue[str] = queue.Queue()
        self._ready = threading.Event()
        self._folder = Path(tempfile.mkdtemp(prefix="nn2wasm-chromium-"))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        page = f"http://127.0.0.1:{self._server.server_port}/"
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [path, *FLAGS, f"--user-data-dir={self._folder / 'user'}", page],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # its helpers can be ended with it
            )
        atexit.register(self.close)
        self._broken = "" if self._started() else f"it did not start: {self._log()}"

    def answer(self, jobs: str) -> str:
        """The page's answer to a list of jobs, both JSON; skips the test if there is no page."""
        if self._broken:
            pytest.skip(f"Chromium cannot be used here, {self._broken}")
        self._jobs.put(jobs)
        try:
            return self._answers.get(timeout=JOB_SECONDS)
        except queue.Empty:
            self._broken = "it hung before"
            raise AssertionError(f"no answer from Chromium: {self._log()}") from None

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _started(self) -> bool:
        for _ in range(START_SECONDS):
            if self._ready.wait(1) or self._process.poll() is not None:
                break
        return self._ready.is_set()

    def _log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-1000:]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        browser = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/job":
                    browser._ready.set()
                    try:
                        self._send(200, browser._jobs.get(timeout=POLL_SECONDS).encode())
                    except queue.Empty:
                        self._send(204)
                elif self.path in PAGES:
                    path, mime = PAGES[self.path]
                    self._send(200, path.read_bytes(), mime)
                else:
                    self._send(404)

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                self._send(204)
                browser._answers.put(content.decode())

            def _send(self, status: int, body: bytes = b"", mime: str = "application/json") -> None:
                self.send_response(status)
                self.send_header("content-type", mime)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler
