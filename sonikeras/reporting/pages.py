"""A report as a list of blocks, and two ways to write it: one HTML file that holds everything, and Markdown.

The HTML needs no network, no script and no file beside it. It is made to be read on any screen and by any reader:
headings in order, a text for each figure, captions and scopes for tables. All texts are plain: what is HTML or Markdown
in them is shown as it is.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import os
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from sonikeras.config._files import as_utf8, safe_names, write_bytes, write_text


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading; the page's title is the one above those of level 2."""

    text: str
    level: int = 2


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclasses.dataclass(frozen=True)
class Code:
    """A command or other lines of code."""

    text: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table. The first cell of each row names it; `caption` says what the table shows, were it nothing."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A PNG file, its name without the suffix, and what it says to those who cannot see it."""

    name: str
    data: bytes = dataclasses.field(repr=False)
    alt: str
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Sound:
    """A FLAC file to play."""

    label: str
    data: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Cards beside each other, each of some blocks."""

    cards: Sequence[Sequence[Block]]


@dataclasses.dataclass(frozen=True)
class Details:
    """Blocks that are folded away under a line."""

    summary: str
    blocks: Sequence[Block]


Block: TypeAlias = Heading | Text | Code | Table | Picture | Sound | Gallery | Details


_STYLE = """
:root { color-scheme: light dark; --ink: #1a1c20; --paper: #ffffff; --soft: #f1f3f6; --line: #c4c9d2; --link: #0b50b0;
  --dim: #50565f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e9ed; --paper: #15171b; --soft: #22252b; --line: #474c56;
  --link: #8db8ff; --dim: #a9b0bb; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1rem; font: 1rem/1.55 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); overflow-wrap: break-word; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: .5rem; padding: .3rem .6rem; background: var(--paper); }
h1, h2, h3, h4 { line-height: 1.25; margin: 2.2rem 0 .6rem; }
h1 { margin-top: .5rem; }
h2 { border-top: 1px solid var(--line); padding-top: 1.4rem; }
p, li { max-width: 46rem; }
nav ul { columns: 18rem; padding-left: 1.2rem; }
pre { background: var(--soft); padding: .8rem; overflow-x: auto; border-radius: .4rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .93rem; }
caption { text-align: left; color: var(--dim); padding-bottom: .4rem; }
th, td { padding: .3rem .55rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; }
thead th { background: var(--soft); vertical-align: bottom; }
tbody th { min-width: 9rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
figure { margin: 1rem 0; }
figcaption { color: var(--dim); font-size: .93rem; max-width: 46rem; }
img { max-width: 100%; height: auto; background: #fff; border-radius: .3rem; display: block; }
audio { width: 100%; max-width: 22rem; display: block; }
.gallery { list-style: none; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 13.5rem), 1fr)); }
.gallery > li { background: var(--soft); border-radius: .5rem; padding: .7rem; max-width: none; }
.gallery figure, .gallery p { margin: 0 0 .6rem; }
details { border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .8rem; margin: 1rem 0; }
summary { cursor: pointer; }
"""


# Nothing is loaded but what the file holds, whatever its texts say.
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"


# Of Markdown, at the start of a line: a heading, an item of a list, a rule. Numbers, as "-0.5" and "1.5", are none.
_BLOCK_MARKER = re.compile(r"^(\d+(?=[.)](?: |$))|(?=#|[+-](?:[ -]|$)))")


_NOTHING = "there is nothing to show"


_NUMBER = re.compile(r"[-+−]?[\d.]+(\s*%)?(\s*\(.*\)|\s+(to|±|of)\s.*)?")


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """The page as one HTML file.

    Args:
        title: Its heading, and its name in the browser.
        blocks: What it holds, in order.

    Returns:
        String, a whole HTML document.

    Raises:
        ValueError: A heading is of level 1, or more than one level below the one before it.

    Example:
        >>> from sonikeras.reporting.pages import Heading, Text, to_html
        >>> page = to_html("Cats & dogs", [Heading("<b>"), Text("1 < 2")])
        >>> "<h1>Cats &amp; dogs</h1>" in page, "&lt;b&gt;</h2>" in page, "<p>1 &lt; 2</p>" in page
        (True, True, True)
    """
    headings = [block for block in _flat(blocks) if isinstance(block, Heading)]
    for before, heading in zip([1, *(each.level for each in headings)], headings, strict=False):
        if not 2 <= heading.level <= before + 1:
            raise ValueError(
                "A heading's `level` must be at least 2, and at most one more than that of the heading before. "
                f"Received: level={heading.level} of {heading.text!r} after level {before}"
            )
    ids = [f"section-{number}" for number in range(1, len(headings) + 1)]
    contents = "\n".join(
        f'<li><a href="#{name}">{_escaped(each.text)}</a></li>'
        for name, each in zip(ids, headings, strict=True)
        if each.level == 2
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_escaped(title)}</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header><h1>{_escaped(title)}</h1></header>
<nav aria-label="Contents"><ul>
{contents}
</ul></nav>
<main id="content">
{_html_of(blocks, iter(ids))}
</main>
</body>
</html>
"""


def _flat(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from _flat(block.blocks)
        elif isinstance(block, Gallery):
            for card in block.cards:
                yield from _flat(card)


def _html_of(blocks: Sequence[Block], ids: Iterator[str]) -> str:
    return "\n".join(_html(block, ids) for block in blocks)


def _html(block: Block, ids: Iterator[str]) -> str:
    """A block as HTML; `ids` are those of the headings to come, in order."""
    match block:
        case Heading(text, level):
            return f'<h{level} id="{next(ids)}">{_escaped(text)}</h{level}>'
        case Text(text):
            return f"<p>{_escaped(text)}</p>"
        case Code(text):
            return f'<pre tabindex="0"><code>{_escaped(text)}</code></pre>'
        case Table(caption, _, []):
            return f"<p>{_escaped(caption)}: {_NOTHING}.</p>"
        case Table(caption, columns, rows):
            numeric = [
                all(_NUMBER.fullmatch(row[i]) or row[i] in ("", "–") for row in rows) for i in range(len(columns))
            ]
            kinds = [' class="number"' if is_numeric else "" for is_numeric in numeric]
            head = "".join(f'<th scope="col"{kinds[i]}>{_escaped(name)}</th>' for i, name in enumerate(columns))
            body = "\n".join(f"<tr>{_cells(row, kinds)}</tr>" for row in rows)
            label = _escaped(caption)
            return (
                f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table>\n'
                f"<caption>{label}</caption>\n"
                f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
            )
        case Picture(_, data, alt, caption):
            width, height = _size(data)
            below = f"<figcaption>{_escaped(caption)}</figcaption>" if caption else ""
            source = _data_uri("image/png", data)
            return (
                f'<figure><img width="{width}" height="{height}" alt="{_escaped(alt)}" src="{source}">{below}</figure>'
            )
        case Sound(label, data):
            player = f'<audio controls aria-label="{_escaped(label)}" src="{_data_uri("audio/flac", data)}"></audio>'
            return f"<figure><figcaption>{_escaped(label)}</figcaption>{player}</figure>"
        case Gallery(cards):
            items = "\n".join(f"<li>{_html_of(card, ids)}</li>" for card in cards)
            return f'<ul class="gallery">\n{items}\n</ul>'
        case Details(summary, inner):
            return f"<details><summary>{_escaped(summary)}</summary>\n{_html_of(inner, ids)}\n</details>"


def _cells(row: Sequence[str], kinds: Sequence[str]) -> str:
    first, *others = row
    cells = [f'<th scope="row">{_escaped(first)}</th>']
    return "".join(cells + [f"<td{kind}>{_escaped(cell)}</td>" for cell, kind in zip(others, kinds[1:], strict=True)])


def _escaped(text: str) -> str:
    return html.escape(_visible(text))


def _visible(text: str) -> str:
    """The text with escapes in the place of what a page cannot hold: control characters, and bytes that are no text."""
    text = "".join(repr(c)[1:-1] if ord(c) < 32 and c not in "\n\t" or 127 <= ord(c) < 160 else c for c in text)
    return as_utf8(text)


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _size(png: bytes) -> tuple[int, int]:
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        return image.size


def to_markdown(title: str, blocks: Sequence[Block], *, images: str = "images/") -> str:
    """The page as Markdown. Sounds, galleries and details are left out.

    Args:
        title: Its heading.
        blocks: What it holds, in order.
        images: What the address of a picture begins with, before its name and `.png`; it is taken as it is, while the
            name is quoted. Defaults to `"images/"`.

    Returns:
        String.

    Example:
        >>> from sonikeras.reporting.pages import Table, to_markdown
        >>> print(to_markdown("Pets", [Table("How many", ["pet", "number"], [["cat|dog", "2"]])]))
        # Pets
        <BLANKLINE>
        How many:
        <BLANKLINE>
        | pet | number |
        |---|---|
        | cat\\|dog | 2 |
        <BLANKLINE>
    """
    parts = [f"# {_marked(title)}", *(text for block in blocks if (text := _markdown(block, images)))]
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block, images: str) -> str | None:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_marked(text)}"
        case Text(text):
            return _marked(text)
        case Code(text):
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            return f"{fence}sh\n{_visible(text)}\n{fence}"
        case Table(caption, _, []):
            return f"{_marked(caption)}: {_NOTHING}."
        case Table(caption, columns, rows):
            lines = [columns, *rows]
            head, *body = (f"| {' | '.join(_marked(cell) for cell in line)} |" for line in lines)
            return "\n".join([f"{_marked(caption)}:", "", head, f"|{'---|' * len(columns)}", *body])
        case Picture(name, _, alt, caption):
            picture = f"![{_marked(alt)}]({images}{_quoted(_file_name(name))})"
            return picture + (f"\n\n{_marked(caption)}" if caption else "")
    return None


def _marked(text: str) -> str:
    line = " ".join(_visible(text).split())
    # An underscore within a word is one.
    line = re.sub(r"([\\`*\[\]|])|(?<!\w)_|_(?!\w)", r"\\\g<0>", html.escape(line, quote=False))
    # Not all that read Markdown know an escaped tilde.
    return _BLOCK_MARKER.sub(r"\1\\", line.replace("~", "&#126;"))


def _file_name(name: str) -> str:
    """The name of a picture's file, behind that of its page."""
    return f"{safe_names([name])[0]}.png"


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, errors="surrogateescape")


def write_html(path: str | os.PathLike[str], title: str, blocks: Sequence[Block]) -> None:
    """Writes `to_html` to a file, atomically."""
    write_text(path, to_html(title, blocks))


def write_markdown(path: str | os.PathLike[str], title: str, blocks: Sequence[Block]) -> None:
    """Writes `to_markdown` to a file, and its pictures to `images/` beside it, their names after the file's."""
    path = Path(path)
    for block in blocks:
        if isinstance(block, Picture):
            write_bytes(path.parent / "images" / f"{path.stem}-{_file_name(block.name)}", block.data)
    write_text(path, to_markdown(title, blocks, images=f"images/{_quoted(path.stem)}-"))


def png(image: np.ndarray, *, side: int | None = None) -> bytes:
    """An image as the bytes of a PNG file.

    Args:
        image: uint8 array `[height, width]` or `[height, width, 3]` (RGB).
        side: Integer, the longest side in pixels. A larger image is reduced to it, and of one that fits several times
            each pixel becomes a square of them. Defaults to `None`: it keeps its size.

    Returns:
        Bytes.

    Example:
        >>> import numpy as np
        >>> from sonikeras.reporting.pages import png
        >>> png(np.zeros((400, 200), "uint8"), side=100)[:4]
        b'\\x89PNG'
    """
    from PIL import Image

    picture, data = Image.fromarray(image), io.BytesIO()
    if side is not None:
        picture.thumbnail((side, side))
        factor = side // max(picture.size)
        picture = picture.resize((factor * picture.width, factor * picture.height), Image.Resampling.NEAREST)
    picture.save(data, "png", optimize=True)
    return data.getvalue()
