"""What pages of one file have in common: texts that cannot leave their element, and a style."""

from __future__ import annotations

import json

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 0.2rem 0.6rem; text-align: right; border-bottom: 1px solid #8884; }
th { position: sticky; top: 0; background: Canvas; }
.name { text-align: left; overflow-wrap: anywhere; }
summary { font-size: 1.2rem; margin: 1rem 0 0.3rem; cursor: pointer; }
"""


def script_json(value: object) -> str:
    """JSON that cannot end the script element it stands in, whatever texts it holds."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    replaced = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
    for character, escape in {**replaced, "\u2028": "\\u2028", "\u2029": "\\u2029"}.items():
        text = text.replace(character, escape)
    return text


def in_script(code: str) -> str:
    """Code that holds no end of its own element."""
    return code.replace("</script", "<\\/script")
