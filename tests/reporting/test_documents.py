"""HTML documents are self-contained, accessible and escaped; Markdown is escaped; a real browser agrees."""

import contextlib
import html.parser
import json
import shutil

import numpy as np
import pytest

import sonikeras
from sonikeras.reporting import (
    AudioClip,
    Code,
    Details,
    Gallery,
    Heading,
    Note,
    Picture,
    Table,
    Text,
    png,
    to_html,
    to_markdown,
    write_html,
    write_markdown,
)
from sonikeras.sources.audio import encode_pcm16, to_pcm16

HOSTILE = "<script>document.title='hacked'</script>\"'&|`*\x07\udcff"
SHOWN = "<script>document.title='hacked'</script>\"'&|`*\\x07\\udcff"
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]


@pytest.fixture(scope="module")
def blocks():
    config = sonikeras.SonificationConfig.preset("lossless")
    image = np.arange(64, dtype="uint8").reshape(8, 8)
    clip = encode_pcm16(to_pcm16(sonikeras.sonify(image, config)), config, ".flac")
    picture = Picture("plot", png(image, side=80), f"The image {HOSTILE}.", "an image")
    return [
        Text(HOSTILE),
        Note(HOSTILE),
        Heading(HOSTILE),
        Code("ls < in > out"),
        Table(HOSTILE, [HOSTILE, "number"], [[HOSTILE, "0.5 (0.4 to 0.6)"], ["other", "–"]]),
        picture,
        Heading("Cards", 3),
        Gallery([[picture, AudioClip(HOSTILE, clip)], [Text("second")]]),
        Details("more", [Table("inner", ["a"], [["1"]])]),
    ]


class Outline(html.parser.HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, *tags):
        return [(tag, attributes) for tag, attributes in self.tags if tag in tags]


def test_html_is_accessible(blocks):
    outline = Outline(to_html("Title", blocks))
    assert outline.all("html")[0][1] == {"lang": "en"}
    assert [tag for tag, _ in outline.all("h1", "h2", "h3")] == ["h1", "h2", "h3"]
    images = outline.all("img")
    assert len(images) == 2 and all(each["alt"] and each["width"] == "80" for _, each in images)
    assert len(outline.all("table")) == len(outline.all("caption")) == 2
    assert {attributes["scope"] for _, attributes in outline.all("th")} == {"row", "col"}
    assert all(attributes["aria-label"] for _, attributes in outline.all("audio", "nav"))
    targets = {attributes["href"] for _, attributes in outline.all("a")}
    assert targets <= {f"#{attributes['id']}" for _, attributes in outline.tags if "id" in attributes}


def test_html_is_self_contained_and_escaped(blocks):
    outline = Outline(to_html("Title", blocks))
    assert not outline.all("script", "iframe", "object")
    sources = [value for _, attributes in outline.tags for key, value in attributes.items() if key in ("src", "href")]
    assert all(value.startswith(("data:", "#")) for value in sources)


@pytest.mark.parametrize("levels", [[1], [3], [2, 4]])
def test_headings_are_in_order(levels):
    with pytest.raises(ValueError, match=r"at most one more .* Received: level="):
        to_html("Title", [Heading("heading", level) for level in levels])


def test_markdown_has_tables_and_pictures(blocks, tmp_path):
    write_markdown(tmp_path / "results.md", "Title", blocks)
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert text.startswith("# Title\n") and text.endswith("\n")
    assert "](images/results-plot.png)" in text and (tmp_path / "images" / "results-plot.png").stat().st_size
    assert "<script>" not in text and "| other | – |" in text and "inner" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") == 3 for line in rows)
    assert to_markdown("a_b *c*", []) == "# a_b \\*c\\*\n"


def test_headings_have_addresses_of_their_own():
    heading = Heading("same")
    outline = Outline(to_html("Title", [heading, Details("more", [heading]), Gallery([[heading]]), heading]))
    assert [each["id"] for _, each in outline.all("h2")] == [f"section-{i}" for i in (1, 2, 3, 4)]
    assert [each["href"] for _, each in outline.all("a")][1:] == [f"#section-{i}" for i in (1, 2, 3, 4)]


def test_a_table_without_rows_says_so():
    empty = Table("Pairs", ["pair", "p"], [])
    assert "<p>Pairs: there is nothing to show.</p>" in to_html("Title", [empty])
    assert to_markdown("Title", [empty]) == "# Title\n\nPairs: there is nothing to show.\n"


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("# a #", r"\# a #"),
        ("1. a 1. b", r"1\. a 1. b"),
        ("12) a", r"12\) a"),
        ("- a - b", r"\- a - b"),
        ("---", r"\---"),
        ("+ a", r"\+ a"),
        ("> a", "&gt; a"),
        ("~~a~~", "&#126;&#126;a&#126;&#126;"),
        ("-0.5", "-0.5"),
        ("1.5 of 2", "1.5 of 2"),
    ],
)
def test_markdown_shows_texts_as_texts(text, marked):
    assert to_markdown("Title", [Text(text)]) == f"# Title\n\n{marked}\n"


def test_markdown_of_code_and_addresses(blocks, tmp_path):
    code = to_markdown("Title", [Code("a ```` b\n\udcff")])
    assert code == "# Title\n\n`````sh\na ```` b\n\\udcff\n`````\n"
    pictures = [Picture(name, png(np.zeros((2, 2), "uint8")), "alt") for name in ("a) b#\udcff", "/../../up")]
    write_markdown(tmp_path / "my page.md", "Title", pictures)
    assert {path.parent for path in tmp_path.rglob("*.png")} == {tmp_path / "images"}
    assert "![alt](images/my%20page-a%29%20b%23_~a9d979e33a.png)" in (tmp_path / "my page.md").read_text(
        encoding="utf-8"
    )
    assert (tmp_path / "images" / "my page-a) b#_~a9d979e33a.png").exists()


def has_browser():
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


@contextlib.contextmanager
def open_browser(profile):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        chrome.get("about:blank")
        chrome.get_log("performance")  # of the page that the browser began with
        yield chrome
    finally:
        chrome.quit()


def check_page(browser, path):
    """Opens a page: all pictures are drawn, all clips play, nothing else is loaded. Returns the clips' seconds."""
    browser.get(path.as_uri())
    play = """
        const [clip, done] = arguments;
        clip.ontimeupdate = () => clip.currentTime && done([clip.duration, clip.readyState, clip.error]);
        clip.muted = true;
        clip.play().catch(error => done([0, 0, String(error)]));
    """
    clips = browser.find_elements("css selector", "audio")
    played = [browser.execute_async_script(play, clip) for clip in clips]
    assert all(ready >= 2 and error is None for _, ready, error in played)
    drawn = "return [...document.images].map(image => image.complete && image.naturalWidth)"
    assert all(browser.execute_script(drawn))
    for width in (390, 1200):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    assert urls and all(url.startswith(("data:", path.as_uri())) for url in urls)
    return [duration for duration, *_ in played]


def test_page_in_a_browser(blocks, tmp_path):
    if not has_browser():
        pytest.skip("Chromium is not installed")
    path = tmp_path / "page #1.html"
    write_html(path, HOSTILE, blocks)
    with open_browser(tmp_path / "chromium") as browser:
        (duration,) = check_page(browser, path)
        assert abs(duration - 66048 / 22050) < 0.01
        assert browser.title == SHOWN
        assert browser.find_element("css selector", "h2").text == SHOWN
        assert browser.find_element("css selector", "tbody th").text == SHOWN
