"""A document as one self-contained HTML file, rendered by an autoescaped Jinja2 template.

The file needs no network, no script and no other file. It works on any screen, in light and dark, and with a screen
reader: headings are in order, figures have descriptions, tables have captions and scopes.
"""

from __future__ import annotations

import base64
import functools
import io
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sonikeras.config._files import write_text
from sonikeras.reporting.documents import EMPTY_TABLE, Block, Heading, Table, flat, visible

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

_NUMBER = re.compile(r"[-+−]?[\d.]+(\s*%)?(\s*\(.*\)|\s+(to|±|of)\s.*)?")


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """Renders a document as HTML.

    Args:
        title: Title of the document.
        blocks: Its content, in order.

    Returns:
        String, a complete HTML document.

    Raises:
        ValueError: A heading has level 1, or its level is more than one below that of the heading before.

    Example:
        >>> from sonikeras.reporting.documents import Heading, Text
        >>> from sonikeras.reporting.html import to_html
        >>> page = to_html("Cats & dogs", [Heading("<b>"), Text("1 < 2")])
        >>> "<h1>Cats &amp; dogs</h1>" in page, "&lt;b&gt;</h2>" in page, "<p>1 &lt; 2</p>" in page
        (True, True, True)
    """
    headings = [block for block in flat(blocks) if isinstance(block, Heading)]
    for before, heading in zip([1, *(each.level for each in headings)], headings, strict=False):
        if not 2 <= heading.level <= before + 1:
            raise ValueError(
                "A heading's `level` must be at least 2, and at most one more than that of the heading before. "
                f"Received: level={heading.level} of {heading.text!r} after level {before}"
            )
    ids = [f"section-{number}" for number in range(1, len(headings) + 1)]
    contents = [(name, each.text) for name, each in zip(ids, headings, strict=True) if each.level == 2]
    return _template().render(title=title, blocks=blocks, contents=contents, next_id=iter(ids).__next__)


def write_html(path: str | os.PathLike[str], title: str, blocks: Sequence[Block]) -> None:
    """Writes `to_html` to a file, atomically."""
    write_text(path, to_html(title, blocks))


@functools.cache
def _template() -> Template:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sonikeras.reporting", "."),
        autoescape=True,
        finalize=_printable,
        keep_trailing_newline=True,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"data_uri": _data_uri, "numeric_columns": _numeric_columns, "size": _size}
    environment.globals |= {"empty_table": EMPTY_TABLE, "kind": lambda block: type(block).__name__}
    return environment.get_template("page.html.jinja")


def _printable(value: Any) -> Any:
    """What the template prints of a value: plain text without control characters, markup as it is."""
    return visible(value) if type(value) is str else value


def _data_uri(data: bytes, media_type: str) -> Markup:
    from markupsafe import Markup

    return Markup(f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}")  # noqa: S704


def _numeric_columns(table: Table) -> list[bool]:
    return [
        all(_NUMBER.fullmatch(row[i]) or row[i] in ("", "–") for row in table.rows) for i in range(len(table.columns))
    ]


def _size(png: bytes) -> tuple[int, int]:
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        return image.size
