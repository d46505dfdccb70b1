"""Packages for Arduino, ESP-IDF and Zephyr, built with stand-ins for the SDKs (platforms/).

Metadata is read by the vendors' own checkers, where those are installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from build_tools import build_tool, with_command
from c_compilers import compiler, run
from small_networks import NETWORKS

import nn2wasm
from nn2wasm.api import Options

PLATFORMS = Path(__file__).with_name("platforms")
NETWORK = "gemm_s8"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a package of each kind, named like its kind; and the model's module."""
    path = tmp_path_factory.mktemp("vendors")
    for kind in ("arduino", "esp-idf", "zephyr"):
        options = Options(name=NETWORK)
        nn2wasm.compile_model(NETWORKS[NETWORK](), path / kind, options=options, package=kind)
    nn2wasm.compile_model(NETWORKS[NETWORK](), path / "net.wasm")
    return path


@pytest.fixture(scope="module")
def expected(folder):
    """The output for the input that demos fill in."""
    pattern = (np.arange(9) % 17 / 8 - 1).astype(np.float32).reshape(1, 1, 3, 3)
    with nn2wasm.load(folder / "net.wasm") as session:
        return session.run({"x": pattern})["y"].reshape(-1)


def check_printed(printed: str, expected: np.ndarray) -> None:
    values = re.search(r"^output 0:(.*)$", printed, re.MULTILINE)[1].split()
    np.testing.assert_allclose([float(value) for value in values], expected, rtol=1e-5)


# ---- Arduino ------------------------------------------------------------------------------------


def test_sketch(folder, expected, tmp_path):
    """As a core builds it: all sources below src/, in gnu11 and gnu++11, without a warning."""
    package = folder / "arduino"
    flags = [f"-I{package / 'src'}", "-Os", "-Wall", "-Wextra", "-Werror"]
    objects = []
    for index, source in enumerate(sorted((package / "src").rglob("*.c"))):
        objects.append(f"{index}.o")
        command = [*compiler("gcc"), "-std=gnu11", *flags, "-c", str(source), "-o", objects[-1]]
        run(command, tmp_path)
    sketch = package / "examples" / f"{NETWORK}_demo" / f"{NETWORK}_demo.ino"
    core = [*compiler("g++"), f"-I{PLATFORMS / 'arduino'}", "-std=gnu++11", *flags]
    run([*core, "-x", "c++", str(sketch), "-x", "none", *objects, "-o", "p"], tmp_path)
    check_printed(run(["./p"], tmp_path), expected)


def test_library_properties(folder):
    """The rules of the library specification that arduino-lint checks."""
    lines = (folder / "arduino" / "library.properties").read_text().splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    assert len(fields) == len(lines)
    assert set(fields) == {
        "name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url",
        "architectures", "includes",
    }  # fmt: skip
    assert all(value == value.strip() != "" for value in fields.values())
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9 _.-]{0,62}", fields["name"])
    assert re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", fields["version"])
    assert "arduino" not in (fields["name"] + fields["maintainer"] + fields["author"]).lower()
    assert fields["category"] in (
        "Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing",
        "Data Storage", "Data Processing", "Other",
    )  # fmt: skip
    assert not fields["paragraph"].startswith(fields["sentence"])
    assert re.fullmatch(r"https://[a-z.]+", fields["url"])
    assert (folder / "arduino" / "src" / fields["includes"]).is_file()


def test_library_json(folder):
    about = json.loads((folder / "arduino" / "library.json").read_text())
    assert about["name"] == NETWORK
    for example in about["examples"]:
        base = folder / "arduino" / example["base"]
        assert all((base / name).is_file() for name in example["files"])


def test_platformio_takes_both(folder):
    parser = pytest.importorskip("platformio.package.manifest.parser")
    schema = pytest.importorskip("platformio.package.manifest.schema")
    for name in ("library.json", "library.properties"):
        found = parser.ManifestParserFactory.new_from_file(str(folder / "arduino" / name))
        about = schema.ManifestSchema().load_manifest(found.as_dict())
        assert about["name"] == NETWORK
        assert about["headers"] == [f"{NETWORK}.h"]


# ---- CMake with an SDK --------------------------------------------------------------------------


def build(source: Path, build_folder: Path, program: str, *defines: str, **environment: str) -> str:
    """Configures and builds a project with the stand-in for its SDK; what its program prints."""
    compiler("gcc")
    variables = {**with_command(build_folder.parent / "bin"), **environment}
    for command in (
        [
            "-Wno-dev",
            "-S",
            str(source),
            "-B",
            str(build_folder),
            *(f"-D{define}" for define in defines),
        ],
        ["--build", str(build_folder)],
    ):
        done = subprocess.run(
            [build_tool("cmake"), *command],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Warning" not in done.stderr
    return run([str(build_folder / program)], build_folder)


def settings(kconfig: Path, chosen: str, place: Path) -> Path:
    """A CMake file with the variables CONFIG_… that Kconfig makes of some chosen values."""
    kconfiglib = pytest.importorskip("kconfiglib")
    (place / "chosen").write_text(chosen)
    found = kconfiglib.Kconfig(str(kconfig), warn_to_stderr=False)
    found.load_config(str(place / "chosen"), replace=False)
    unknown = [text for text in found.warnings if "CBPRINTF" not in text and "STACK" not in text]
    assert not unknown
    values = [f"set(CONFIG_{s.name} {s.str_value})\n" for s in found.unique_defined_syms]
    (place / "settings.cmake").write_text("".join(values))
    return place / "settings.cmake"


@pytest.mark.parametrize("in_ram", ["n", "y"])
def test_esp_idf_component(folder, expected, tmp_path, in_ram):
    package = folder / "esp-idf"
    chosen = f"CONFIG_NN2WASM_{NETWORK.upper()}_WEIGHTS_IN_RAM={in_ram}\n"
    printed = build(
        package / "examples" / f"{NETWORK}_demo",
        tmp_path / "build",
        f"{NETWORK}_demo.elf",
        f"SDKCONFIG={settings(package / 'Kconfig', chosen, tmp_path)}",
        IDF_PATH=str(PLATFORMS / "esp-idf"),
    )
    check_printed(printed, expected)
    (library,) = (tmp_path / "build").rglob("lib__idf_esp-idf.a")
    sections = run(["size", "-A", str(library)], tmp_path)
    assert (".dram1." in sections) == (in_ram == "y")


def test_esp_idf_metadata(folder):
    models = pytest.importorskip("idf_component_tools.manifest.models")
    yaml = pytest.importorskip("ruamel.yaml")
    text = (folder / "esp-idf" / "idf_component.yml").read_text()
    about = yaml.YAML(typ="safe").load(text)
    manifest = models.Manifest.fromdict(about)
    assert str(manifest.version) == nn2wasm.__version__
    assert [need.name for need in manifest.raw_requirements] == ["idf"]


def test_zephyr_module(folder, expected, tmp_path):
    package = folder / "zephyr"
    sample = package / "samples" / f"{NETWORK}_demo"
    values = settings(package / "Kconfig", (sample / "prj.conf").read_text(), tmp_path)
    assert f"set(CONFIG_NN2WASM_{NETWORK.upper()}_OPTIMIZE_SPEED y)" in values.read_text()
    printed = build(
        sample,
        tmp_path / "build",
        "zephyr_final",
        f"CONF_VALUES={values}",
        ZEPHYR_BASE=str(PLATFORMS / "zephyr"),
    )
    check_printed(printed, expected)


def test_zephyr_module_is_off_unless_asked_for(folder, tmp_path):
    values = settings(folder / "zephyr" / "Kconfig", "", tmp_path)
    assert f"set(CONFIG_NN2WASM_{NETWORK.upper()} n)" in values.read_text()


# ---- models compiled in the SDK's build ---------------------------------------------------------


def rules_in(readme: Path) -> str:
    """The lines of a package's README that compile the model in the build."""
    (block,) = re.findall(r"^```cmake\n(execute_process.*?)^```$", readme.read_text(), re.M | re.S)
    return str(block)


def write_model(place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(NETWORKS[NETWORK](), place)


def test_esp_idf_compiles_a_model(folder, expected, tmp_path):
    project = tmp_path / "project"
    write_model(project / "main" / f"{NETWORK}.onnx")
    demo = folder / "esp-idf" / "examples" / f"{NETWORK}_demo"
    lists = (demo / "CMakeLists.txt").read_text()
    (project / "CMakeLists.txt").write_text(re.sub(r"set\(EXTRA_COMPONENT_DIRS.*\n", "", lists))
    main = (demo / "main" / "CMakeLists.txt").read_text()
    rules = rules_in(folder / "esp-idf" / "README.md")
    (project / "main" / "CMakeLists.txt").write_text(main + rules)
    shutil.copy(demo / "main" / "main.c", project / "main")
    (tmp_path / "settings.cmake").touch()
    printed = build(
        project,
        tmp_path / "build",
        f"{NETWORK}_demo.elf",
        f"SDKCONFIG={tmp_path / 'settings.cmake'}",
        IDF_PATH=str(PLATFORMS / "esp-idf"),
    )
    check_printed(printed, expected)


def test_zephyr_compiles_a_model(folder, expected, tmp_path):
    project = tmp_path / "project"
    write_model(project / f"{NETWORK}.onnx")
    demo = folder / "zephyr" / "samples" / f"{NETWORK}_demo"
    lists = re.sub(r"list\(APPEND.*\n", "", (demo / "CMakeLists.txt").read_text())
    rules = rules_in(folder / "zephyr" / "README.md")
    (project / "CMakeLists.txt").write_text(lists + rules)
    shutil.copytree(demo / "src", project / "src")
    (tmp_path / "values.cmake").touch()
    printed = build(
        project,
        tmp_path / "build",
        "zephyr_final",
        f"CONF_VALUES={tmp_path / 'values.cmake'}",
        ZEPHYR_BASE=str(PLATFORMS / "zephyr"),
    )
    check_printed(printed, expected)
