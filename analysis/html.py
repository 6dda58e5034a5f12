"""What pages of one file have in common: texts that cannot leave their element, and a style."""

from __future__ import annotations

import base64
import gzip
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


UNPACK = """
// A text that the page holds packed: gzip in base64.
async function unpacked(id) {
  const packed = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

async function unpackScript(id) {
  const script = document.createElement("script");
  script.textContent = await unpacked(id);
  document.head.append(script);
}
"""
"""Functions of scripts that read what `packed` has written."""


def json_text(value: object) -> str:
    """Return JSON without spaces.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def packed(text: str) -> str:
    """Return a text as a page holds it: UTF-8, gzip, base64.

    A third of a library's size, a tenth of tables'. No text of a user can end the element that it
    stands in. The same text is always the same in the page.
    """
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
