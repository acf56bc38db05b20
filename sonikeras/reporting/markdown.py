"""A document as a Markdown file with its pictures beside it. Audio clips, galleries and details are left out."""

from __future__ import annotations

import html
import os
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from sonikeras.config._files import write_bytes, write_text
from sonikeras.reporting.documents import (
    EMPTY_TABLE,
    Block,
    Code,
    Heading,
    Note,
    Picture,
    Table,
    Text,
    file_name,
    visible,
)

# What starts a block at the beginning of a line: a heading, a list item, a rule. "-0.5" and "1.5" do not.
_BLOCK_MARKER = re.compile(r"^(\d+(?=[.)](?: |$))|(?=#|[+-](?:[ -]|$)))")


def to_markdown(title: str, blocks: Sequence[Block], *, images: str = "images/") -> str:
    r"""Renders a document as Markdown, without audio clips, galleries and details.

    Args:
        title: Title of the document.
        blocks: Its content, in order.
        images: Prefix of a picture's address, before its name and `.png`. The prefix is used as it is; the name is
            quoted. Defaults to `"images/"`.

    Returns:
        String.

    Example:
        >>> from sonikeras.reporting.documents import Table
        >>> from sonikeras.reporting.markdown import to_markdown
        >>> print(to_markdown("Pets", [Table("How many", ["pet", "number"], [["cat|dog", "2"]])]))
        # Pets
        <BLANKLINE>
        How many:
        <BLANKLINE>
        | pet | number |
        |---|---|
        | cat\|dog | 2 |
        <BLANKLINE>
    """
    parts = [f"# {_escaped(title)}", *(text for block in blocks if (text := _markdown(block, images)))]
    return "\n\n".join(parts) + "\n"


def write_markdown(path: str | os.PathLike[str], title: str, blocks: Sequence[Block]) -> None:
    """Writes `to_markdown` to a file, and its pictures to `images/` beside it, prefixed with the file's name."""
    path = Path(path)
    for block in blocks:
        if isinstance(block, Picture):
            write_bytes(path.parent / "images" / f"{path.stem}-{file_name(block.name)}", block.data)
    write_text(path, to_markdown(title, blocks, images=f"images/{_quoted(path.stem)}-"))


def _markdown(block: Block, images: str) -> str | None:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_escaped(text)}"
        case Text(text):
            return _escaped(text)
        case Note(text):
            return f"**{_escaped(text)}**"
        case Code(text):
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            return f"{fence}sh\n{visible(text)}\n{fence}"
        case Table(caption, _, []):
            return f"{_escaped(caption)}: {EMPTY_TABLE}."
        case Table(caption, columns, rows):
            lines = [columns, *rows]
            head, *body = (f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines)
            return "\n".join([f"{_escaped(caption)}:", "", head, f"|{'---|' * len(columns)}", *body])
        case Picture(name, _, alt, caption):
            picture = f"![{_escaped(alt)}]({images}{_quoted(file_name(name))})"
            return picture + (f"\n\n{_escaped(caption)}" if caption else "")
    return None


def _escaped(text: str) -> str:
    line = " ".join(visible(text).split())
    # An underscore within a word is plain text.
    line = re.sub(r"([\\`*\[\]|])|(?<!\w)_|_(?!\w)", r"\\\g<0>", html.escape(line, quote=False))
    # Not every Markdown reader knows an escaped tilde.
    return _BLOCK_MARKER.sub(r"\1\\", line.replace("~", "&#126;"))


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, errors="surrogateescape")
