"""Pages that are written from the code must say what the code says today."""

import re
from pathlib import Path

from nn2wasm import errors

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_errors_names_every_class_with_its_exit_code():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type)
        and issubclass(value, errors.Nn2wasmError)
        and value not in (errors.Nn2wasmError, errors.ModelError)
    ]
    for cls in classes:
        row = rf"^\| {cls.exit_code} \| `{cls.__name__}` \|"
        assert re.search(row, page, re.MULTILINE), cls.__name__


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
