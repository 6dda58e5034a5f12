"""Makes one file of a study's content, with template, styles, scripts and plotting library."""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from .content import StudyContent

PAGE_FOLDER = Path(__file__).with_name("page")

SCRIPTS = ("dom.js", "plots.js", "decision.js", "growth.js", "method.js", "runs.js", "main.js")
"""In the order in which they build on each other."""


def render(content: StudyContent) -> str:
    """The page.

    Args:
        content: what it shows. Texts of users, such as names of methods and kernels, are escaped:
            in the markup by Jinja, in the data by `script_json`, and the scripts make text of them.
    """
    environment = Environment(
        loader=FileSystemLoader(PAGE_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("template.html").render(
        title=content.title,
        about=content.about,
        warnings=content.warnings,
        footer=content.footer,
        style=_own("style.css"),
        study_json=Markup(script_json(content.as_dict())),  # noqa: S704 - escaped by it
        plotly=Markup(_in_script(get_plotlyjs())),  # noqa: S704 - the library's own code
        script=_own(*SCRIPTS),
    )


def script_json(value: object) -> str:
    """JSON that cannot end the script element it stands in, whatever texts it holds."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    replaced = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
    for character, escape in {**replaced, "\u2028": "\\u2028", "\u2029": "\\u2029"}.items():
        text = text.replace(character, escape)
    return text


def _own(*names: str) -> Markup:
    """Files of ours, as they are."""
    texts = [(PAGE_FOLDER / name).read_text(encoding="utf-8") for name in names]
    return Markup("\n".join(texts))  # noqa: S704 - nothing of a user's is in them


def _in_script(code: str) -> str:
    """Code that holds no end of its own element."""
    return code.replace("</script", "<\\/script")
