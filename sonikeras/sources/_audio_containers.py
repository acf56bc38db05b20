"""Headers of audio files: the position and number of samples, and comments.

Decoders trust the sizes in a header, which are often wrong in complete files: a program that writes to a pipe cannot
update them. This module reads the sizes, checks them against the file, and corrects them for the decoder.

A file is **truncated** if its header states more data than the file has, unless the size is a placeholder:

- 0, if it is not followed by another chunk; or -1;
- a size within 64 KiB of 2^31 or below 2^32 (or 16 MiB below 2^31, as in AIFF);
- the length of the whole file, or that minus 8: some programs confuse two sizes;
- one byte more than there is, after complete sample frames: a pad byte that is counted but missing.

With a placeholder, data end at the end of the file. A FLAC stream of unknown length is truncated unless it ends with a
complete frame, an Ogg stream unless it ends with a complete page, and an MP3 stream if its Xing, Info or VBRI header
states more data. Without such a header, truncated MP3 files are not detected.
"""

from __future__ import annotations

import dataclasses
import io
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

from sonikeras.sources._flac import flac_container
from sonikeras.sources._mpeg import mpeg_container
from sonikeras.sources._pieces import LONGEST_COMMENT, Container, Needed, Stream, Unreadable, after_tags, read_at

_CHUNKS = 10_000  # more than any file has


def container(file: BinaryIO, needed: Needed = lambda rate: None) -> Container:
    """The container of an audio file. Its first bytes determine the format.

    Args:
        file: The file, which can seek.
        needed: Function from the sample rate to the number of sample frames that are needed, or `None` for all.

    Raises:
        Unreadable: The file is not audio, or its header is damaged. The message gives the reason.
    """
    size = file.seek(0, io.SEEK_END)
    start = after_tags(file, 0, size)
    magic = read_at(file, start, 19)
    for known, parse in _PARSERS.items():
        if magic.startswith(known):
            return parse(file, start, size)
    if magic.startswith(_OTHERS):
        return Container(Stream(file, (start, size)))
    found = mpeg_container(file, start, size, needed)
    if found is None:
        if (
            magic.startswith(_MEDIA)
            or magic[4:8] == b"ftyp"
            or (magic[:1] == b"\xff" and magic[1:2] in (b"\xf0", b"\xf1", b"\xf8", b"\xf9"))
        ):
            return Container(Stream(file, (0, size)), media=True)
        raise Unreadable("no known format")
    return found


def _whole(stated: int, available: int, *, start: int, align: int = 1) -> bool | None:
    """Whether the stated number of bytes is available, or `None` if it is a placeholder."""
    if 0 < stated <= available:
        return True
    size = start + available
    near_2_31 = 0x7F000000 <= stated <= 0x8000FFFF
    near_2_32 = 0xFFFF0000 <= stated <= 0xFFFFFFFF
    other_size = stated in (size, size - 8)
    pad_byte = stated == available + 1 and available % align == 0
    if stated <= 0 or stated >= 2**63 or near_2_31 or near_2_32 or other_size or pad_byte:
        return None
    return False


# WAV and its relatives ------------------------------------------------------------------------------------------------


def _chunks(file: BinaryIO, position: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and stated length of each chunk of an IFF or RIFF file."""
    for _ in range(_CHUNKS):
        head = read_at(file, position, 8)
        if len(head) < 8:
            return
        name, length = struct.unpack(f"{order}4sI", head)
        yield name, position + 8, length
        position = _padded(file, position + 8 + length, length)
    raise Unreadable(f"more than {_CHUNKS} chunks")


def _padded(file: BinaryIO, position: int, length: int) -> int:
    """The start of the next chunk: after a pad byte if the length is odd, unless the pad byte is missing."""
    return position + (length % 2 and read_at(file, position, 4) not in _NAMES)


def _guid_chunks(file: BinaryIO, position: int) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a Wave64 file, whose lengths include the header, and which are aligned to 8 bytes."""
    for _ in range(_CHUNKS):
        head = read_at(file, position, 24)
        if len(head) < 24:
            return
        length = int.from_bytes(head[16:], "little") - 24
        yield head[:4], position + 24, length
        position += -(-(24 + max(length, 0)) // 8) * 8
    raise Unreadable(f"more than {_CHUNKS} chunks")


def _riff(file: BinaryIO, start: int, size: int) -> Container:
    order = ">" if read_at(file, start, 4) == b"RIFX" else "<"
    form, fact, long, comments = b"", b"", None, list[bytes]()
    for name, begin, length in _chunks(file, start + 12, order):
        if name == b"data":
            break
        if name == b"ds64" and length >= 24:
            long = int.from_bytes(read_at(file, begin + 8, 8), "little")
        elif name == b"fmt ":
            form = read_at(file, begin, min(length, 2**16))
        elif name == b"fact":
            fact = read_at(file, begin, min(length, 4))
        elif name == b"LIST":
            comments += _info(file, begin, length, order)
    else:
        raise Unreadable("no data chunk")
    stated = long if long is not None and length == 2**32 - 1 else length
    empty = stated == 0 and _only_chunks(file, begin, size, order)
    result = _wave(file, form, fact, begin, stated, size, order, empty=empty)
    if not result.cut and 0 < stated <= size - begin:
        for name, place, length in _chunks(file, _padded(file, begin + stated, stated), order):
            if name == b"LIST":
                comments += _info(file, place, length, order)
    return dataclasses.replace(result, comments=comments)


def _wave64(file: BinaryIO, start: int, size: int) -> Container:
    form = fact = b""
    for name, begin, length in _guid_chunks(file, start + 40):
        if name == b"data":
            return _wave(file, form, fact, begin, length, size, "<", empty=False)
        if name == b"fmt ":
            form = read_at(file, begin, min(length, 2**16))
        elif name == b"fact":
            fact = read_at(file, begin, 4)
    raise Unreadable("no data chunk")


def _wave(
    file: BinaryIO, form: bytes, fact: bytes, begin: int, stated: int, size: int, order: str, *, empty: bool
) -> Container:
    """A WAV file, rebuilt from its chunks with only those that the decoder needs."""
    if len(form) < 16:
        raise Unreadable("no fmt chunk")
    tag, align = struct.unpack_from(f"{order}H10xH", form)
    whole = empty or _whole(stated, size - begin, start=begin, align=max(align, 1))
    # These formats cannot be decoded from an incomplete block.
    rest = (size - begin) % max(align, 1) if tag in _WAVE_BLOCKS else 0
    stop = begin + stated if whole else size - rest
    if tag in _WAVE_MPEG:
        found = mpeg_container(file, begin, stop)
        if found is not None:
            return dataclasses.replace(found, cut=found.cut or whole is False)
    chunks = struct.pack(f"{order}4sI", b"fmt ", len(form)) + form + bytes(len(form) % 2)
    if len(fact) == 4 and whole:  # a count of sample frames, which is wrong if the length is
        chunks += struct.pack(f"{order}4sI", b"fact", 4) + fact
    length = stop - begin
    if length < 2**31:
        head = struct.pack(f"{order}4sI4s", b"RIFX" if order == ">" else b"RIFF", 12 + len(chunks) + length, b"WAVE")
        head += chunks + struct.pack(f"{order}4sI", b"data", length)
    else:
        ds64 = struct.pack("<4sI3QI", b"ds64", 28, 48 + len(chunks) + length, length, length // max(align, 1), 0)
        head = struct.pack("<4sI4s", b"RF64", 2**32 - 1, b"WAVE") + ds64 + chunks
        head += struct.pack("<4sI", b"data", 2**32 - 1)
    return Container(Stream(file, head, (begin, stop)), whole is False)


def _only_chunks(file: BinaryIO, position: int, size: int, order: str) -> bool:
    """Whether the rest of a file consists of complete chunks."""
    for name, begin, length in _chunks(file, position, order):
        if name not in _NAMES:
            return False
        position = begin + length
    return position <= size <= position + 1


def _info(file: BinaryIO, begin: int, length: int, order: str) -> list[bytes]:
    """The comments in a list of INFO chunks."""
    content = read_at(file, begin, min(length, LONGEST_COMMENT))
    if content[:4] != b"INFO":
        return []
    listed = _chunks(io.BytesIO(content), 4, order)
    return [content[begin : begin + length].rstrip(b"\0") for name, begin, length in listed if name == b"ICMT"]


def _aiff(file: BinaryIO, start: int, size: int) -> Container:
    kind = read_at(file, start + 8, 4)
    if kind not in (b"AIFF", b"AIFC"):
        return Container(Stream(file, (start, size)))
    common = b""
    data = None
    comments: list[bytes] = []
    for name, begin, length in _chunks(file, start + 12, ">"):
        if name == b"SSND":
            data = begin, length
            if not 8 <= length <= size - begin:
                break
        elif name == b"COMM":
            common = read_at(file, begin, min(length, 2**10))
        elif name == b"ANNO":
            comments.append(read_at(file, begin, min(length, LONGEST_COMMENT)).rstrip(b"\0"))
    if len(common) < 18 or data is None:
        raise Unreadable(f"no {'SSND' if len(common) >= 18 else 'COMM'} chunk")
    begin, stated = data
    whole = _whole(stated, size - begin, start=begin)
    stop = begin + stated if whole else size
    length = stop - begin
    head = b"FVER" + struct.pack(">II", 4, 0xA2805140) if kind == b"AIFC" else b""
    head += struct.pack(">4sI", b"COMM", len(common)) + common + bytes(len(common) % 2)
    head += struct.pack(">4sI", b"SSND", min(length, 2**32 - 1))
    head = struct.pack(">4sI4s", b"FORM", min(4 + len(head) + length, 2**32 - 1), kind) + head
    return Container(Stream(file, head, (begin, stop)), whole is False, comments)


def _au(file: BinaryIO, start: int, size: int) -> Container:
    head = read_at(file, start, 24)
    order = ">" if head[:1] == b"." else "<"
    if len(head) < 24:
        raise Unreadable("no complete header")
    offset, stated = struct.unpack_from(f"{order}II", head, 4)
    begin = start + offset
    whole = _whole(stated, size - begin, start=begin)
    stop = begin + stated if whole else size
    head = head[:4] + struct.pack(f"{order}II", 24, max(stop - begin, 0)) + head[12:]
    return Container(Stream(file, head, (begin, stop)), whole is False)


def _ogg(file: BinaryIO, start: int, size: int) -> Container:
    """An Ogg file does not state its length, but each page does."""
    tail = read_at(file, max(start, size - 2**17), 2**17)  # longer than any page
    head = tail[tail.rfind(b"OggS") :]
    segments = head[26] if len(head) > 26 else 255
    cut = len(head) < 27 + segments or len(head) < 27 + segments + sum(head[27 : 27 + segments])
    return Container(Stream(file, (start, size)), cut)


def _caf(file: BinaryIO, start: int, size: int) -> Container:
    position = start + 8
    for _ in range(_CHUNKS):
        head = read_at(file, position, 12)
        if len(head) < 12:
            break
        name, stated = struct.unpack(">4sq", head)
        position += 12
        if name == b"data":
            whole = _whole(stated, size - position, start=position)
            if whole:
                return Container(Stream(file, (start, size)))
            head = read_at(file, start, position - 8 - start) + struct.pack(">q", size - position)
            return Container(Stream(file, head, (position, size)), whole is False)
        if stated < 0 or stated > LONGEST_COMMENT:
            break
        position += stated
    raise Unreadable("no data chunk")


_PARSERS: dict[bytes, Callable[[BinaryIO, int, int], Container]] = {
    b"RIFF": _riff,
    b"RIFX": _riff,
    b"RF64": _riff,
    b"BW64": _riff,
    b"riff": _wave64,
    b"FORM": _aiff,
    b".snd": _au,
    b"dns.": _au,
    b"caff": _caf,
    b"fLaC": flac_container,
    b"OggS": _ogg,
}


# Further formats of the decoder, by their first bytes: VOC, NIST, AVR, PAF, PVF and IRCAM.
_OTHERS = (
    b"Creative Voice File",
    b"NIST_1A",
    b"2BIT",
    b" paf",
    b"fap ",
    b"PVF1",
    b"\x64\xa3",
)


# Names of chunks, to detect missing pad bytes and to distinguish chunks from samples.
_KNOWN = (
    b"LISTdatafactfmt id3 ID3 bextcue smplPEAKJUNKjunkinstcartiXMLafspPAD FLLRacidstrc_PMXaxmlchnalevlDISP"
    b"SSNDCOMMANNONAMEAUTH(c) MARKINSTAPPLCOMTCHANICMTISFTINAMIARTICRDICOPIGNRIPRDITRKIENGISBJIKEY"
)


_NAMES = frozenset(_KNOWN[i : i + 4] for i in range(0, len(_KNOWN), 4))


# Formats of PyAV: Matroska and WebM, ASF, AMR, WavPack, Monkey's Audio, TTA, AC-3. MP4 and AAC have no signature.
_MEDIA = (b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75", b"#!AMR", b"wvpk", b"MAC ", b"TTA1", b"\x0b\x77")


_WAVE_BLOCKS = (0x02, 0x11, 0x31)  # format tags of ADPCM by Microsoft and IMA, and of GSM 6.10


_WAVE_MPEG = (0x50, 0x55)  # format tags of MPEG audio in a WAV file
