"""Figures without pyplot, and text in any script: what all plots share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sonikeras.config import _files as files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARK = "#00b4ff"  # a color of neither grays nor the colormaps of spectrograms

LONGEST_NAME = 26  # characters; longer names are shortened to leave room for the matrix


def drawable(names: Sequence[str], longest: int = LONGEST_NAME) -> tuple[list[str], list[str]]:
    """Names in a form that fits one line each, and the font families to draw them, in order of preference."""
    from matplotlib import font_manager

    lines = [" ".join(str(name).split()) for name in names]
    lines = [line if len(line) <= longest else f"{line[: longest // 2]}…{line[1 - longest // 2 :]}" for line in lines]
    default = font_manager.FontProperties()
    families = list(default.get_family())
    missing = _missing(set("".join(lines)), font_manager.findfont(default))
    for entry in font_manager.fontManager.ttflist:
        # "Last Resort" claims every character and draws boxes.
        if missing and not entry.name.startswith("Last Resort"):
            still_missing = _missing(missing, entry.fname)
            if still_missing < missing:
                families.append(entry.name)
                missing = still_missing
    return [line if missing.isdisjoint(line) else f"class {i}" for i, line in enumerate(lines)], families


def _missing(characters: set[str], font_file: str) -> set[str]:
    from matplotlib import font_manager

    font = font_manager.get_font(font_file)
    return {character for character in characters if not font.get_char_index(ord(character))}


def new_figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = Figure(figsize=(width, height), dpi=100, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    with files.replacing(path) as temporary:
        figure.savefig(temporary, format=Path(path).suffix[1:] or "png")
