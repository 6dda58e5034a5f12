from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from adscale.digest import code_digest, reachable_modules, source_digest
from adscale.module_code import module_code

CHECKOUT = Path(__file__).parents[2]

FILES = {
    "profiling/__init__.py": "",
    "profiling/a.py": """\
'''Doc.'''
from profiling import b

def f():
    '''Doc.'''
    return b.x
""",
    "profiling/b.py": """\
import os

def g():
    from profiling.deep.c import y
    return y

x = 1
""",
    "profiling/deep/__init__.py": "",
    "profiling/deep/c.py": "y = 2\n",
    "profiling/unrelated.py": "z = 3\n",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def digest(root: Path, edits: dict[str, str], name: str) -> str:
    """The digest after edits, in a folder of its own since files are read once per process."""
    copy = root / name
    for file, text in {**FILES, **edits}.items():
        path = copy / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return code_digest("profiling.a", root=copy)


def test_imports_are_followed_through_functions_and_packages(checkout: Path) -> None:
    found = reachable_modules("profiling.a", root=checkout)
    assert found == {
        "profiling", "profiling.a", "profiling.b", "profiling.deep", "profiling.deep.c",
    }  # fmt: skip


@pytest.mark.parametrize(
    "edits",
    [
        {"profiling/a.py": "# why\n" + FILES["profiling/a.py"]},
        {"profiling/a.py": FILES["profiling/a.py"].replace("Doc.", "Other words.")},
        {"profiling/b.py": FILES["profiling/b.py"].replace("x = 1", "\n\nx  =  1  # one")},
        {"profiling/unrelated.py": "z = 4\n"},
        {"profiling/new.py": "n = 1\n"},
    ],
)
def test_comments_docstrings_layout_and_strangers_do_not_count(
    tmp_path: Path, edits: dict[str, str]
) -> None:
    assert digest(tmp_path, {}, "before") == digest(tmp_path, edits, "after")


@pytest.mark.parametrize(
    "edits",
    [
        {"profiling/a.py": FILES["profiling/a.py"].replace("b.x", "b.x + 1")},
        {"profiling/b.py": FILES["profiling/b.py"].replace("x = 1", "x = 2")},
        {"profiling/deep/c.py": "y = 3\n"},
        {"profiling/__init__.py": "import warnings\n"},
    ],
)
def test_a_change_of_behaviour_counts_however_deep(tmp_path: Path, edits: dict[str, str]) -> None:
    assert digest(tmp_path, {}, "before") != digest(tmp_path, edits, "after")


def test_a_digest_that_every_python_gives_is_of_the_files_as_they_are() -> None:
    content = b"adscale.names\n" + (CHECKOUT / "adscale" / "names.py").read_bytes() + b"\n"
    assert source_digest("adscale.names") == hashlib.sha256(content).hexdigest()[:16]
    assert source_digest("profiling.prediction") != source_digest("profiling.memory.counting")


def test_planning_imports_neither_torch_nor_pandas_nor_matplotlib() -> None:
    code = (
        "import sys, adscale.plan, adscale.config, profiling.collectors.nsys;"
        "import profiling.study.setup, profiling.study.setup;"
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("package", "other"), [("profiling", "analysis"), ("analysis", "profiling")]
)
def test_the_two_packages_do_not_import_each_other(package: str, other: str) -> None:
    names = [
        ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
        for path in (CHECKOUT / package).rglob("*.py")
        if path.name != "__init__.py"
    ]
    found = reachable_modules(*names)
    assert len(found) >= len(names)
    assert not [name for name in found if name.split(".")[0] == other]


def test_what_a_file_says_is_kept_until_the_file_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADSCALE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "a.py"

    def read(text: str) -> tuple[str, list[str]]:
        file.write_text(text)
        module_code.cache_clear()
        code = module_code(file)
        return code.text, [one.module for one in code.imports]

    assert read("import os\nx = 1  # one") == ("import os\nx = 1", ["os"])
    (kept,) = (tmp_path / "cache/code").iterdir()
    kept.write_text(kept.read_text().replace("x = 1", "x = 'kept'"))
    assert read("import os\nx = 1  # one") == ("import os\nx = 'kept'", ["os"])
    assert read("import re\nx = 2") == ("import re\nx = 2", ["re"])
    kept.write_text(kept.read_text().replace("x = 2", "x = 'of another reader'"))
    monkeypatch.setattr("adscale.module_code._reader", lambda: b"changed code")
    assert read("import re\nx = 2") == ("import re\nx = 2", ["re"])
    for damaged in ("", "{}", "[1]", '{"key": 1'):
        kept.write_text(damaged)
        assert read("import re\nx = 2") == ("import re\nx = 2", ["re"])


def test_without_a_place_to_keep_it_a_file_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ADSCALE_CACHE", str(tmp_path / "file"))
    (tmp_path / "a.py").write_text("x = 1")
    assert module_code(tmp_path / "a.py").text == "x = 1"
