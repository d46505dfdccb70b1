"""What users install: the wheel, the source distribution, an editable install.

Each in an environment of its own that sees the packages of this one through a .pth file: nothing is
downloaded but what hatchling needs for an editable install, where that is missing here.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

REPOSITORY = Path(__file__).parents[2]
DIGITS = REPOSITORY / "examples" / "digits" / "digits_int8.onnx"
SOURCE_FOLDERS = ("transpiler", "templates", "runtime_c", "examples")
COMPILE = """
import sys, nn2wasm
artifact = nn2wasm.compile_model(sys.argv[1], "digits.wasm")
nn2wasm.compile_model(sys.argv[1], "firmware/")
print(nn2wasm.__file__)
"""

pytest.importorskip("hatchling", reason="hatchling is not installed")


def run(*command: str, folder: Path) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    clean["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    done = subprocess.run(
        command, cwd=folder, env=clean, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what is needed to build: builds leave nothing behind in the real one."""
    folder = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache", ".venv")
    for name in SOURCE_FOLDERS:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def distributions(checkout):
    """Paths of the wheel and of the source distribution."""
    run(sys.executable, "-m", "hatchling", "build", "-d", "dist", folder=checkout)
    (wheel,) = (checkout / "dist").glob("*.whl")
    (source,) = (checkout / "dist").glob("*.tar.gz")
    return wheel, source


def environment(folder: Path) -> Path:
    """The Python of a new environment that also finds the packages of this one, ours excepted."""
    run(sys.executable, "-m", "venv", "--without-pip", str(folder), folder=folder.parent)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    purelib = Path(run(str(python), "-c", where, folder=folder).strip())
    here = [path for path in sys.path if path.endswith("site-packages")]
    (purelib / "zz_outer.pth").write_text("\n".join(here) + "\n")
    return python


def install(python: Path, *arguments: str, folder: Path) -> None:
    """By this environment's pip, into the other one."""
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps"]
    run(*pip, *arguments, folder=folder)


def check_installed(python: Path, folder: Path, *, inside: Path) -> None:
    """Compiles digits far from any checkout; the package must come from `inside`."""
    folder.mkdir()
    shutil.copy(DIGITS, folder / "model.onnx")
    printed = run(str(python), "-c", COMPILE, "model.onnx", folder=folder)
    assert Path(printed.strip()).is_relative_to(inside)
    assert (folder / "digits.wasm").read_bytes().startswith(b"\0asm")
    assert (folder / "firmware" / "CMakeLists.txt").is_file()
    command = python.with_name("nn2wasm")
    assert "wasm-simd128" in run(str(command), "targets", folder=folder)


def test_wheel_holds_the_data(distributions):
    names = set(zipfile.ZipFile(distributions[0]).namelist())
    for name in ("templates", "runtime_c"):
        for path in (REPOSITORY / name).rglob("*"):
            if path.is_file():
                assert f"nn2wasm/{path.relative_to(REPOSITORY).as_posix()}" in names
    assert "nn2wasm/py.typed" in names
    assert {"nn2wasm/tools/boards.json", "nn2wasm/estimate/costs.json"} <= names
    stray = {PurePosixPath(name).parts[0] for name in names}
    assert {part for part in stray if not part.endswith(".dist-info")} == {"nn2wasm"}
    assert not [name for name in names if "__pycache__" in name or "_cache" in name]


def test_source_distribution_holds_everything(distributions):
    with tarfile.open(distributions[1]) as archive:
        names = {PurePosixPath(*PurePosixPath(n).parts[1:]).as_posix() for n in archive.getnames()}
    for folder in ("templates", "runtime_c", "transpiler"):
        for path in (REPOSITORY / folder).rglob("*"):
            if path.is_file() and path.suffix != ".pyc" and "_cache" not in str(path):
                assert path.relative_to(REPOSITORY).as_posix() in names


def test_wheel_from_source_distribution_is_the_same(distributions, tmp_path):
    """What packagers do: the wheel must not depend on being built in a checkout."""
    with tarfile.open(distributions[1]) as archive:
        archive.extractall(tmp_path, **({"filter": "data"} if sys.version_info >= (3, 12) else {}))
    (folder,) = tmp_path.iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist", folder=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    first, second = (zipfile.ZipFile(path) for path in (distributions[0], wheel))
    assert {i.filename: i.CRC for i in first.infolist()} == {
        i.filename: i.CRC for i in second.infolist()
    }


def test_installed_wheel(distributions, tmp_path):
    python = environment(tmp_path / "environment")
    install(python, "--no-index", str(distributions[0]), folder=tmp_path)
    check_installed(python, tmp_path / "elsewhere", inside=tmp_path / "environment")


def test_editable_install(checkout, tmp_path):
    """With the build backend that is here, else with the one that pip fetches."""
    offline = importlib.util.find_spec("editables") is not None
    if not offline and os.environ.get("PIP_NO_INDEX"):
        pytest.skip("the package 'editables' is not installed and may not be fetched")
    python = environment(tmp_path / "environment")
    options = ["--no-index", "--no-build-isolation"] if offline else []
    install(python, *options, "-e", str(checkout), folder=tmp_path)
    check_installed(python, tmp_path / "elsewhere", inside=checkout)
