"""Pages hold everything themselves, can be read without seeing them, and show texts as texts; a real browser agrees."""

import html.parser
import json
import shutil

import numpy as np
import pytest

import sonikeras
from sonikeras.pages import (
    Code,
    Details,
    Gallery,
    Heading,
    Picture,
    Sound,
    Table,
    Text,
    png,
    to_html,
    to_markdown,
    write_html,
    write_markdown,
)
from sonikeras.sounds import encode_pcm16, to_pcm16

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
    sound = encode_pcm16(to_pcm16(sonikeras.sonify(image, config)), config, ".flac")
    picture = Picture("plot", png(image, side=80), f"The image {HOSTILE}.", "an image")
    return [
        Text(HOSTILE),
        Heading(HOSTILE),
        Code("ls < in > out"),
        Table(HOSTILE, [HOSTILE, "number"], [[HOSTILE, "0.5 (0.4 to 0.6)"], ["other", "–"]]),
        picture,
        Heading("Cards", 3),
        Gallery([[picture, Sound(HOSTILE, sound)], [Text("second")]]),
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


@pytest.fixture
def browser(tmp_path):
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("Chromium is not installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'chromium'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    chrome.get("about:blank")
    chrome.get_log("performance")  # of the page that the browser began with
    yield chrome
    chrome.quit()


def test_page_in_a_browser(blocks, browser, tmp_path):
    path = tmp_path / "page #1.html"
    write_html(path, HOSTILE, blocks)
    browser.get(path.as_uri())
    assert browser.title == SHOWN
    assert browser.find_element("css selector", "h2").text == SHOWN
    assert browser.find_element("css selector", "tbody th").text == SHOWN
    play = """
        const [sound, done] = [document.querySelector("audio"), arguments[0]];
        sound.ontimeupdate = () => sound.currentTime && done([sound.duration, sound.readyState, sound.error]);
        sound.muted = true;
        sound.play().catch(error => done(String(error)));
    """
    duration, ready, error = browser.execute_async_script(play)
    assert abs(duration - 66048 / 22050) < 0.01 and ready >= 2 and error is None
    loaded = "return [...document.images].every(image => image.complete && image.naturalWidth == 80)"
    assert browser.execute_script(loaded)
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
