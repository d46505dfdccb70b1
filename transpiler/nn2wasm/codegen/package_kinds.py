"""Build systems that a C package can be for, as data: which files it has beside the sources."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from nn2wasm.errors import TargetError

DEFAULT_PACKAGE = "cmake"


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file beside the sources.

    Attributes:
        path: in the package; ``{name}`` stands for the model's.
        template: below templates/package.
        about: what README.md says of it.
    """

    path: str
    template: str
    about: str


@dataclass(frozen=True, slots=True)
class Entry:
    """The function of main.c that the system calls: its head and its last statement."""

    head: str
    end: str


MAIN_C = PackageFile(
    "main.c", "main.c.j2", "runs the network once; with `-DNN_NO_STDIO` also on bare metal"
)
MAIN = Entry("int main(void)", "return status")
APP_MAIN = Entry("void app_main(void)", "(void)status")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageKind:
    """A build system and the form in which it takes C.

    Attributes:
        name: as typed after ``--package``; its folder below templates/package.
        source_folder: where in the package the sources are, empty or ending in "/".
        entry: what main.c defines.
        files: beside the sources and README.md.
    """

    name: str
    source_folder: str = ""
    entry: Entry = MAIN
    files: tuple[PackageFile, ...]


PACKAGE_KINDS: tuple[PackageKind, ...] = (
    PackageKind(
        name="cmake",
        files=(
            MAIN_C,
            PackageFile(
                "CMakeLists.txt",
                "cmake/CMakeLists.txt.j2",
                "the library `{name}` and the program `{name}_demo`",
            ),
        ),
    ),
    PackageKind(
        name="make",
        files=(
            MAIN_C,
            PackageFile("{name}.mk", "make/model.mk.j2", "what your Makefile includes"),
            PackageFile(
                "Makefile",
                "make/Makefile.j2",
                "the library `lib{name}.a` and the program `{name}_demo`",
            ),
        ),
    ),
    PackageKind(
        name="arduino",
        source_folder="src/",
        files=(
            PackageFile(
                "library.properties",
                "arduino/library.properties.j2",
                "describes the library to Arduino",
            ),
            PackageFile("library.json", "arduino/library.json.j2", "describes it to PlatformIO"),
            PackageFile(
                "examples/{name}_demo/{name}_demo.ino",
                "arduino/demo.ino.j2",
                "a sketch that runs the network",
            ),
        ),
    ),
    PackageKind(
        name="esp-idf",
        entry=APP_MAIN,
        files=(
            PackageFile("CMakeLists.txt", "esp-idf/CMakeLists.txt.j2", "registers the component"),
            PackageFile("Kconfig", "esp-idf/Kconfig.j2", "its settings in `idf.py menuconfig`"),
            PackageFile(
                "idf_component.yml",
                "esp-idf/idf_component.yml.j2",
                "describes it to the component manager",
            ),
            PackageFile(
                "examples/{name}_demo/CMakeLists.txt",
                "esp-idf/demo_project.txt.j2",
                "a project that uses the component",
            ),
            PackageFile(
                "examples/{name}_demo/main/CMakeLists.txt",
                "esp-idf/demo_main.txt.j2",
                "its main component",
            ),
            PackageFile("examples/{name}_demo/main/main.c", "main.c.j2", "runs the network once"),
        ),
    ),
    PackageKind(
        name="zephyr",
        files=(
            PackageFile("zephyr/module.yml", "zephyr/module.yml.j2", "makes the folder a module"),
            PackageFile("CMakeLists.txt", "zephyr/CMakeLists.txt.j2", "builds its library"),
            PackageFile("Kconfig", "zephyr/Kconfig.j2", "its settings"),
            PackageFile(
                "samples/{name}_demo/CMakeLists.txt",
                "zephyr/demo_project.txt.j2",
                "an application that uses the module",
            ),
            PackageFile(
                "samples/{name}_demo/prj.conf", "zephyr/prj.conf.j2", "the application's settings"
            ),
            PackageFile("samples/{name}_demo/src/main.c", "main.c.j2", "runs the network once"),
        ),
    ),
)


def find_package_kind(name: str) -> PackageKind:
    """The kind of that name.

    Raises:
        TargetError: there is none; the text lists them and suggests the nearest.
    """
    for kind in PACKAGE_KINDS:
        if kind.name == name:
            return kind
    names = [kind.name for kind in PACKAGE_KINDS]
    nearest = difflib.get_close_matches(name, names, n=1)
    raise TargetError(
        f"unknown kind of package {name!r}",
        facts=[("known", ", ".join(names))],
        hint=f"did you mean {nearest[0]!r}?" if nearest else "",
    )
