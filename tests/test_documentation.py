"""Each code block of README.md and docs runs, alone, in an empty folder with the files that it names.

Python blocks and `sonikeras` commands run in this process. The output in a `console` block is compared, with `...` for
what varies. `<!-- not run: REASON -->` in front of a block exempts it.
"""

import doctest
import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import sonikeras
from sonikeras.cli.main import main

ROOT = Path(__file__).parents[1]
GENERATED = "results.md"  # whose command trains for hours
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != GENERATED)]
LANGUAGES = ("python", "sh", "bash", "console")
QUICK = ("README.md", "index.md", "cli.md")  # whose blocks are part of the quick suite


class Block(NamedTuple):
    page: str
    line: int
    language: str
    text: str
    not_run: str | None


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in re.finditer(r"((?:^<!--.*-->\n)*)^```(\w+).*\n((?:.*\n)*?)^```$", text, re.MULTILINE):
            if match[2] in LANGUAGES:
                reason = re.search(r"<!-- not run: (.*) -->", match[1])
                line = text[: match.start(3)].count("\n") + 1
                found.append(Block(page.name, line, match[2], match[3], reason and reason[1]))
    return found


BLOCKS = blocks()
RUN = [block for block in BLOCKS if not block.not_run]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def coffee_audio() -> np.ndarray:
    return sonikeras.sonify(sonikeras.read_image(ROOT / "docs" / "images" / "coffee.png"))


def provide(text: str, photo: np.ndarray, audio: np.ndarray) -> None:
    """The files that a block names: those of the checkout, photos, recordings and folders of images."""
    for name in re.findall(r"\b(?:docs|recipes)/[\w./-]+", text):
        if (ROOT / name).is_file():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, name)
    for name in re.findall(r"[\w./-]+\.(?:jpg|png)\b", text):
        if Path(name).name.startswith("photo"):
            sonikeras.sources.write_image(name, photo)
    for name in re.findall(r"[\w./-]+\.wav\b", text):
        if Path(name).name.startswith(("coffee", "photo", "recording")):
            sonikeras.write_audio(name, audio, "study")
    for name in set(re.findall(r"\b(?:flowers|vehicles|your/folders)\b", text)):
        for split, count in (("train", 8), ("test", 2)):
            for label, kind in enumerate(("rose", "tulip")):
                Path(name, split, kind).mkdir(parents=True)
                for i in range(count):
                    top, left = 40 * i + 150 * (split == "test"), 200 * label + 20 * i
                    crop = photo[top % 360 :, left:][:60, :80]
                    sonikeras.sources.write_image(Path(name, split, kind, f"{i}.png"), crop)


def matches(expected: str, output: str) -> bool:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(expected, output, flags)


def commands(block: Block) -> list[tuple[list[str], str | None]]:
    """Each command's words, and the output that follows it in a `console` block."""
    if block.language == "console":
        parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)
        assert not parts[0], "a console block must start with a command"
        pairs = zip(parts[1::2], parts[2::2], strict=True)
    else:
        pairs = ((line, None) for line in block.text.replace("\\\n", "").splitlines() if line.strip())
    return [(shlex.split(line, comments=True), output) for line, output in pairs]


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(
            block,
            id=f"{block.page}:{block.line}",
            marks=[] if block.page in QUICK and block.language != "python" else pytest.mark.slow,
        )
        for block in RUN
    ],
)
def test_block_runs(block, folder, photo, coffee_audio, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    provide(block.text, photo, coffee_audio)
    if block.language == "python":
        exec(compile(block.text, f"{block.page}:{block.line}", "exec"), {"__name__": "__main__"})
        return
    for words, expected in commands(block):
        assert words[0] == "sonikeras", f"mark it with <!-- not run: REASON -->. Received: {words}"
        capsys.readouterr()
        error = ""
        try:
            main(words[1:])
        except SystemExit as end:
            error = f"{end.code}\n" if isinstance(end.code, str) else ""
            assert error or not end.code, capsys.readouterr().err
        output = capsys.readouterr()
        if expected is None:
            assert not error, error
        else:
            assert matches(expected, output.out + error), output.out + error


def test_few_blocks_are_exempt():
    exempt = [block for block in BLOCKS if block.not_run]
    assert all(len(block.not_run.split()) >= 2 for block in exempt)
    assert len(exempt) <= len(BLOCKS) / 2
