"""Texts for people are in no digest; whatever might be more than a text is."""

from __future__ import annotations

import ast
import textwrap

import pytest

from adscale.module_code import without_texts


def left(code: str) -> str:
    return ast.unparse(without_texts(ast.parse(textwrap.dedent(code))))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("'Doc.'\nx = 1\n'Of x.'", "'Words.'\nx = 1", id="docstrings"),
        pytest.param("raise ValueError('a')", "raise ValueError(f'{x}, b')", id="raised"),
        pytest.param("found.append(ConfigError('a', 'b'))", "found.append(ConfigError('c', 'd'))",
                     id="error that is kept"),
        pytest.param("print('a', x, flush=True)", "print('b', x, flush=True)", id="print"),
        pytest.param("logger.warning('%s', x)", "logger.warning('now %s', x)", id="log"),
        pytest.param("progress.update('a', 1, unit='b')", "progress.update('c', 1, unit='d')",
                     id="progress"),
        pytest.param("with Progress('a') as b: pass", "with Progress('c') as b: pass", id="title"),
        pytest.param("Field(2, description='a')", "Field(2, description='b')", id="keyword"),
        pytest.param("{'description': 'a', 'default': 2}", "{'description': 'b', 'default': 2}",
                     id="key"),
        pytest.param(
            """
            def f(x):
                hint = 'a' if x else 'b'
                what = f'{x} is wrong: {hint}'
                raise ConfigError('here', what, 'mend it')
            """,
            """
            def f(x):
                hint = 'c' if x else 'd'
                what = f'{hint} and {x}'
                raise ConfigError('there', what, 'mend this')
            """,
            id="names that only messages read",
        ),
        pytest.param(
            "def _title(x):\n    return f'{x} a'\nwith Progress(_title(1)) as p: pass",
            "def _title(x):\n    return f'b {x}'\nwith Progress(_title(1)) as p: pass",
            id="function that only messages call",
        ),
    ],
)  # fmt: skip
def test_words_for_people(before: str, after: str) -> None:
    assert left(before) == left(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("f(unit='a')", "f(unit='b')", id="argument"),
        pytest.param("x == 'a'", "x == 'b'", id="compared"),
        pytest.param("{'default': 'a'}", "{'default': 'b'}", id="default of a setting"),
        pytest.param("def f(size='M'): ...", "def f(size='S'): ...", id="default of an argument"),
        pytest.param("record['status'] = 'a'", "record['status'] = 'b'", id="recorded"),
        pytest.param("digest.update('a')", "digest.update('b')", id="another update"),
        pytest.param("gpu.info('a')", "gpu.info('b')", id="another info"),
        pytest.param("raise ValueError(2)", "raise ValueError(3)", id="number"),
        pytest.param("raise ValueError('a')", "raise TypeError('a')", id="class of an error"),
        pytest.param("print(f'{f(1)}')", "print(f'{f(2)}')", id="called in a message"),
        pytest.param(
            "def f(x):\n    name = 'a'\n    if x[name]:\n        raise ValueError(name)",
            "def f(x):\n    name = 'b'\n    if x[name]:\n        raise ValueError(name)",
            id="name that is read elsewhere, too",
        ),
        pytest.param(
            "def f():\n    global x\n    x = 'a'", "def f():\n    global x\n    x = 'b'",
            id="name of the module",
        ),
        pytest.param(
            "def f():\n    class A:\n        name = 'a'\n    return A",
            "def f():\n    class A:\n        name = 'b'\n    return A",
            id="name of a class",
        ),
        pytest.param(
            "def _name(x):\n    return 'a'\nprint(_name(1))\nrun(_name(2))",
            "def _name(x):\n    return 'b'\nprint(_name(1))\nrun(_name(2))",
            id="function that others call, too",
        ),
        pytest.param(
            "def name(x):\n    return 'a'\nprint(name(1))",
            "def name(x):\n    return 'b'\nprint(name(1))",
            id="function that other modules may call",
        ),
    ],
)  # fmt: skip
def test_what_might_be_more_than_a_text(before: str, after: str) -> None:
    assert left(before) != left(after)
