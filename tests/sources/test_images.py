"""Image files of all kinds: the stored pixels decide, the orientation is applied, and sizes are checked first."""

import io
import os
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from sonikeras.config import limits
from sonikeras.sources import read_image
from sonikeras.sources.images import EXTENSIONS, to_gray

RGB = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(png, kind, data):
    """A PNG file with one chunk more, behind its header."""
    return png[:33] + chunk(kind, data) + png[33:]


PNG = encoded(RGB)

# Pixels decide --------------------------------------------------------------------------------------------------------

COLOR_SPACES = {
    "sRGB": (b"sRGB", b"\0"),
    "gamma": (b"gAMA", struct.pack(">I", 45455)),
    "linear": (b"gAMA", struct.pack(">I", 100000)),
    "chromaticities": (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
    "profile": (b"iCCP", b"a\0\0" + zlib.compress(b"no profile")),
    "cICP": (b"cICP", b"\x09\x10\0\1"),
    "significant bits": (b"sBIT", b"\5\6\5"),
    "background": (b"bKGD", struct.pack(">3H", 255, 0, 0)),
}


@pytest.mark.parametrize("kind", COLOR_SPACES)
def test_a_color_space_changes_no_pixel(kind):
    red = encoded(np.full((4, 4, 3), (255, 0, 0), np.uint8))
    assert (read_image(with_chunk(red, *COLOR_SPACES[kind])) == 76).all()
    file = with_chunk(PNG, *COLOR_SPACES[kind])
    np.testing.assert_array_equal(read_image(file), read_image(PNG))
    np.testing.assert_array_equal(read_image(file, color=True), RGB)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "AVIF"])
def test_a_profile_changes_no_pixel(kind):
    for color in (False, True):
        plain, tagged = (read_image(encoded(RGB, kind, **o), color=color) for o in ({}, {"icc_profile": b"x" * 200}))
        np.testing.assert_array_equal(plain, tagged)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "TIFF", "PPM", "GIF", "JPEG2000"])
def test_gray_is_that_of_the_colors(kind):
    data = encoded(RGB, kind, **({"lossless": True} if kind == "WEBP" else {}))
    color = read_image(data, color=True)
    if kind != "GIF":
        np.testing.assert_array_equal(color, RGB)
    np.testing.assert_allclose(
        read_image(data).astype(int), to_gray(color), rtol=0, atol=1 if kind in ("PNG", "BMP") else 0
    )


def test_a_damaged_chunk_that_is_not_needed_is_left_out():
    bad = bytearray(with_chunk(PNG, b"tEXt", b"Comment\0text"))
    bad[33 + 12] ^= 1
    np.testing.assert_array_equal(read_image(bytes(bad), color=True), RGB)


# Orientation ----------------------------------------------------------------------------------------------------------


def exif(orientation, order="<"):
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)


def xmp(orientation):
    return b'<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>' % orientation


def raw_profile(block):
    return b"\nexif\n%8d\n" % len(block) + block.hex().encode() + b"\n"


PREFIX = b"Exif\0\0"
ORIENTED = {
    "eXIf": lambda n: with_chunk(PNG, b"eXIf", exif(n)),
    "eXIf, big end first": lambda n: with_chunk(PNG, b"eXIf", exif(n, ">")),
    "eXIf with a prefix": lambda n: with_chunk(PNG, b"eXIf", PREFIX + exif(n)),
    "eXIf at the end": lambda n: PNG[:-12] + chunk(b"eXIf", exif(n)) + PNG[-12:],
    "XMP": lambda n: with_chunk(PNG, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(n)),
    "XMP, compressed": lambda n: with_chunk(PNG, b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp(n))),
    "XMP as an element": lambda n: with_chunk(
        PNG, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<tiff:Orientation>%d</tiff:Orientation>" % n
    ),
    "raw, tEXt": lambda n: with_chunk(PNG, b"tEXt", b"Raw profile type exif\0" + raw_profile(PREFIX + exif(n))),
    "raw, zTXt": lambda n: with_chunk(
        PNG, b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(raw_profile(PREFIX + exif(n)))
    ),
    "raw, iTXt": lambda n: with_chunk(
        PNG, b"iTXt", b"Raw profile type exif\0\0\0\0\0" + raw_profile(PREFIX + exif(n))
    ),
    "WebP": lambda n: encoded(RGB, "WEBP", lossless=True, exif=exif(n)),
    "WebP with a prefix": lambda n: encoded(RGB, "WEBP", lossless=True, exif=PREFIX + exif(n)),
    "WebP, XMP": lambda n: encoded(RGB, "WEBP", lossless=True, xmp=xmp(n)),
    "TIFF": lambda n: encoded(RGB, "TIFF", tiffinfo={274: n}),
}  # fmt: skip
TURNED = {
    1: RGB,
    2: np.fliplr(RGB),
    3: np.rot90(RGB, 2),
    4: np.flipud(RGB),
    5: RGB.swapaxes(0, 1),
    6: np.rot90(RGB, -1),
    7: np.rot90(RGB, 2).swapaxes(0, 1),
    8: np.rot90(RGB),
}


@pytest.mark.parametrize("kind", ORIENTED)
def test_orientation(kind):
    for orientation, expected in TURNED.items():
        np.testing.assert_array_equal(read_image(ORIENTED[kind](orientation), color=True), expected)
    assert read_image(ORIENTED[kind](6)).shape == (40, 24)


@pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
def test_orientation_of_a_lossy_file(kind):
    smooth = cv2.resize(RGB[:3, :4], (40, 24), interpolation=cv2.INTER_LINEAR)
    plain = read_image(encoded(smooth, kind, quality=95), color=True)
    for orientation in TURNED:
        turned = read_image(encoded(smooth, kind, quality=95, exif=PREFIX + exif(orientation)), color=True)
        expected = read_image(with_chunk(encoded(plain), b"eXIf", exif(orientation)), color=True)
        np.testing.assert_array_equal(turned, expected)


@pytest.mark.parametrize("block", [b"", PREFIX, b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0", exif(0), exif(9), exif(6)[:14]])
def test_damaged_exif_turns_nothing(block):
    np.testing.assert_array_equal(read_image(with_chunk(PNG, b"eXIf", block), color=True), RGB)


# Transparency ---------------------------------------------------------------------------------------------------------

CLEAR = np.zeros((24, 40), bool)
CLEAR[:12, 5:30] = True
SHOWN = np.where(CLEAR[..., None], 0, np.uint8([200, 90, 40]))


def in_palette():
    image = Image.fromarray(np.where(CLEAR, 1, 2).astype(np.uint8))
    image.putpalette([9, 9, 9, 250, 250, 250, 200, 90, 40])
    return image


RGBA = np.dstack([np.where(CLEAR[..., None], np.uint8([250, 250, 250]), SHOWN), np.where(CLEAR, 0, 255)]).astype(
    np.uint8
)
TRANSPARENT = {
    "RGBA": lambda: encoded(RGBA),
    "WebP": lambda: encoded(RGBA, "WEBP", lossless=True, exact=True),
    "TIFF": lambda: encoded(RGBA, "TIFF"),
    "palette": lambda: encoded(in_palette(), transparency=1),
    "palette with alpha": lambda: encoded(in_palette(), transparency=b"\xff\0\xff"),
    "GIF": lambda: encoded(in_palette(), "GIF", transparency=1),
    "a color": lambda: with_chunk(encoded(RGBA[..., :3]), b"tRNS", struct.pack(">3H", 250, 250, 250)),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_what_is_transparent_is_black(kind):
    np.testing.assert_array_equal(read_image(TRANSPARENT[kind](), color=True), SHOWN)
    assert (read_image(TRANSPARENT[kind]()) == 0).sum() == CLEAR.sum()


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_gray_of_any_depth_and_its_transparent_value(depth):
    values = np.arange(64).reshape(8, 8) * (1021 if depth == 16 else 1) % 2**depth
    bits = (values[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    rows = np.packbits(bits.reshape(8, -1).astype(np.uint8), axis=1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, depth, 0, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    expected = values >> 8 if depth == 16 else values * 255 // (2**depth - 1)
    np.testing.assert_array_equal(read_image(png), expected)
    clear = int(values[3, 3])
    np.testing.assert_array_equal(
        read_image(with_chunk(png, b"tRNS", struct.pack(">H", clear))), np.where(values == clear, 0, expected)
    )


def test_half_transparent_is_blended_onto_black():
    image = np.full((4, 4, 4), (200, 100, 50, 128), np.uint8)
    np.testing.assert_allclose(read_image(encoded(image), color=True)[0, 0], [100, 50, 25], atol=1)


def test_what_a_gif_does_not_cover_is_black():
    gif = bytearray(encoded(in_palette(), "GIF"))
    struct.pack_into("<HH", gif, 6, 50, 30)  # a larger screen
    read = read_image(bytes(gif), color=True)
    assert read.shape == (30, 50, 3) and not read[24:].any() and not read[:, 40:].any() and read[:24, :40].any()


# Other kinds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [40, 52, 56, 108, 124])
@pytest.mark.parametrize("masks", [(0x7C00, 0x3E0, 0x1F), (0xF800, 0x7E0, 0x1F)])
def test_bmp_of_16_bits(size, masks):
    colors = [sum(masks), masks[0], masks[1], masks[2]]
    header = struct.pack("<IiiHHIIiiII", size, 4, 1, 1, 16, 3, 8, 0, 0, 0, 0) + struct.pack("<III", *masks)
    header = header.ljust(size, b"\0")
    data = b"BM" + struct.pack("<IHHI", 14 + len(header) + 8, 0, 0, 14 + len(header)) + header
    read = read_image(data + struct.pack("<4H", *colors), color=True)
    assert read.tolist() == [[[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]]
    assert read_image(data + struct.pack("<4H", *colors)).tolist() == [[255, 76, 150, 29]]


def test_bmp_of_15_bits_without_masks():
    header = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 0, 4, 0, 0, 0, 0)
    data = b"BM" + struct.pack("<IHHI", 58, 0, 0, 54) + header + struct.pack("<2H", 0x7FFF, 0)
    assert read_image(data).tolist() == [[255, 0]]


PNM = {
    "P1": b"P1 # bits\n3 2\n1 0 1\n010\n",
    "P2": b"P2\n#c\n3 2 15\n0 15 0 15 0 15\n",
    "P3": b"P3 3 2 1 0 0 0 1 1 1 0 0 0 1 1 1 0 0 0 1 1 1\n",
    "P4": b"P4\n3 2\n\xa0\x40",
    "P5": b"P5\n3 2\n255\n\0\xff\0\xff\0\xff",
    "P5, 16 bits": b"P5\n3 2\n65535\n" + np.array([0, 65535] * 3, ">u2").tobytes(),
    "P6": b"P6\n3 2\n255\n" + b"\0\0\0\xff\xff\xff" * 3,
}


@pytest.mark.parametrize("kind", PNM)
def test_pnm(kind):
    assert read_image(PNM[kind]).tolist() == [[0, 255, 0], [255, 0, 255]]
    assert read_image(PNM[kind], color=True).shape == (2, 3, 3)


@pytest.mark.parametrize("extension", [".png", ".tiff", ".ppm"])
def test_of_16_bits_the_high_byte_stays(extension):
    deep = np.random.default_rng(1).integers(0, 65536, (24, 40, 3), dtype=np.uint16)
    read = read_image(cv2.imencode(extension, deep)[1].tobytes(), color=True)
    np.testing.assert_allclose(read, deep[..., ::-1] >> 8, rtol=0, atol=extension == ".ppm")  # which Pillow rounds
    name = ".pgm" if extension == ".ppm" else extension
    np.testing.assert_array_equal(read_image(cv2.imencode(name, deep[..., 0])[1].tobytes()), deep[..., 0] >> 8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM"])
@pytest.mark.parametrize("cut", [0.3, 0.9, -1])
def test_a_truncated_file_is_refused(kind, cut):
    data = encoded(RGB, kind)
    with pytest.raises(ValueError, match=r"Received: photo \("):
        read_image(data[: cut if cut < 0 else int(cut * len(data))], name="photo")


def test_every_ending_is_in_lower_case_and_once():
    assert {".jfif", ".jpe", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".pgm", ".dib"} <= set(EXTENSIONS)
    assert len(set(EXTENSIONS)) == len(EXTENSIONS) and all(e == e.lower() for e in EXTENSIONS)


# Small files that ask for much ----------------------------------------------------------------------------------------

LARGE = struct.pack("<HH", 30000, 30000)
BOMBS = {
    "PNG": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""),
    "GIF": b"GIF89a" + LARGE + b"\0\0\0,\0\0\0\0" + LARGE + b"\0\2\2L\1\0;",
    "BMP": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 60, 0, 0, 54, 40, 30000, 30000, 1, 8, 1, 2, 0, 0, 0, 0) + b"\0\1",
    "WebP": b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<II", 10, 0)
    + b"\xfe\x3f\0\xfe\x3f\0" + b"VP8L\0\0\0\0",
    "TIFF": b"II*\0\x08\0\0\0" + struct.pack("<H", 6) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value)
        for tag, value in ((256, 30000), (257, 30000), (258, 8), (262, 1), (273, 8), (279, 9))
    ) + bytes(4),
    "JPEG": encoded(RGB, "JPEG").replace(struct.pack(">HH", 24, 40), struct.pack(">HH", 30000, 30000)),
    "JPEG 2000": encoded(RGB, "JPEG2000", no_jp2=True).replace(
        struct.pack(">II", 40, 24), struct.pack(">II", 30000, 30000)
    ),
    "JPEG 2000, hidden": encoded(RGB, "JPEG2000")[:80] + encoded(RGB, "JPEG2000")[80:].replace(
        struct.pack(">II", 40, 24), struct.pack(">II", 30000, 30000)
    ),
    "PGM": b"P5 30000 30000 255\n",
    "PBM": b"P4 30000 30000\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_the_size_is_checked_first(kind):
    most = "33,554,432" if kind.startswith(("WebP", "JPEG 2000")) else "67,108,864"
    rule = rf"at most {most} pixels \(`image_pixels`.*Received: small \(\d+ x \d+ pix"
    with pytest.raises(ValueError, match=rule):
        read_image(BOMBS[kind], name="small")


def test_sides_are_bounded():
    with pytest.raises(ValueError, match=r"1,048,576 a side .*Received: long \(24 x 1048577 pixels"):
        read_image(b"P5 1048577 24 255\n", name="long")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(PNG)
    os.truncate(path, 2**30)  # sparse: it takes no room
    with pytest.raises(ValueError, match=r"at most 536,870,912 bytes .*Received: .*huge\.png \(1,073,741,824 bytes"):
        read_image(path)


@pytest.mark.parametrize("data", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"%PDF-1.4", b"8BPS"])
def test_formats_that_run_programs_are_refused(data):
    with pytest.raises(ValueError, match=r"must be a whole PNG.*Received: other"):
        read_image(data, name="other")


def test_large_sizes_take_no_memory(tmp_path):
    code = (
        "import pathlib, resource, sys\nfrom sonikeras.sources.images import read_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try: read_image(path)\n    except ValueError: pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    for number, data in enumerate(BOMBS.values()):
        (tmp_path / str(number)).write_bytes(data)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100_000 * (1 if sys.platform == "linux" else 1024)


@pytest.mark.parametrize(("extension", "mode"), [("png", "RGBA"), ("png", "RGB"), ("gif", "P")])
def test_the_largest_images_take_a_bounded_memory(extension, mode, tmp_path):
    side = int(limits.get("image_pixels") ** 0.5)
    path = tmp_path / f"large.{extension}"
    Image.new(mode, (side, side)).save(path, compress_level=1, transparency=0 if mode == "P" else None)
    code = (
        "import resource, sys\nfrom sonikeras.sources.images import read_image\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(read_image(sys.argv[1]).size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    pixels, memory = map(int, done.stdout.split())
    assert pixels == side**2
    assert memory < 2**20 * (0.75 if sys.platform == "linux" else 768)  # kibibytes, or bytes


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_compressed_metadata_are_not_unpacked(kind):
    beginning = {b"zTXt": b"Raw profile type exif\0\0", b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0", b"iCCP": b"a\0\0"}[
        kind
    ]
    png = with_chunk(PNG, kind, beginning + zlib.compress(bytes(2**27)))
    np.testing.assert_array_equal(read_image(png, color=True), RGB)


def test_the_limit_can_be_set():
    before = limits.get("image_pixels")
    try:
        limits.set(image_pixels=960)
        assert read_image(PNG).shape == (24, 40)
        limits.set(image_pixels=959)
        with pytest.raises(ValueError, match=r"at most 959 pixels .*Received: image \(24 x 40 pixels\)"):
            read_image(PNG)
    finally:
        limits.set(image_pixels=before)
