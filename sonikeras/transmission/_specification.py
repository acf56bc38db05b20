"""Specification strings of channels, such as `gain(db=-6)+mp3(kbps=32)`. They are parsed, never evaluated."""

from __future__ import annotations

import dataclasses
import re

from sonikeras.config._checks import check_choice
from sonikeras.transmission._base import KINDS, Chain, Channel

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"

_SETTING = rf"\s*([a-z]\w*)\s*=\s*({_NUMBER})\s*"

_TERM = rf"\s*([a-z]\w*)\s*(?:\(({_SETTING}(?:,{_SETTING})*|\s*)\)\s*)?"


def names() -> list[str]:
    """Names of all channels.

    Example:
        >>> from sonikeras import channels
        >>> channels.names()[:3]
        ['noise', 'gain', 'clip']
    """
    return list(KINDS)


def forms() -> list[str]:
    """Specification strings of all channels, without numbers.

    Example:
        >>> from sonikeras import channels
        >>> channels.forms()[:3]
        ['noise(snr=)', 'gain(db=)', 'clip(db=)']
    """
    return [_form(name) for name in KINDS]


def as_channel(channel: str | Channel) -> Channel:
    """The channel of a specification string. A channel is returned as it is.

    Args:
        channel: `Channel`, or string: a name, followed by its settings in parentheses as `name=number`, separated by
            commas. `+` joins several channels, first to last. Spaces are allowed between these parts.

    Raises:
        ValueError: The string is malformed, a name is unknown, or a setting is missing, unknown or not allowed.
        RuntimeError: libsndfile was built without the codec.

    Example:
        >>> from sonikeras import channels
        >>> channels.as_channel("gain(db=-6) + mp3(kbps=32)")
        Chain(channels=(Gain(db=-6), MP3(kbps=32)))
        >>> str(channels.as_channel("noise(snr=20)"))
        'noise(snr=20)'
    """
    if isinstance(channel, Channel):
        return channel
    text = channel if isinstance(channel, str) else ""
    if not re.fullmatch(rf"{_TERM}(\+{_TERM})*", text):
        raise ValueError(
            "`channel` must be a Channel or a specification such as 'telephone', 'noise(snr=20)' or "
            f"'gain(db=-6)+mp3(kbps=32)'. Allowed channels: {', '.join(forms())}. Received: channel={channel!r}"
        )
    found = [_parse(*match.group(1, 2), text=text) for match in re.finditer(_TERM, text)]
    return found[0] if len(found) == 1 else Chain(channels=tuple(found))


def _parse(name: str, settings: str | None, *, text: str) -> Channel:
    check_choice("channel", name, KINDS)
    pairs = re.findall(_SETTING, settings or "")
    # A longer integer is out of range as a float, too: then the channel states its own rule.
    whole = re.compile(r"[+-]?\d{1,300}")
    values = {key: int(value) if whole.fullmatch(value) else float(value) for key, value in pairs}
    if len(values) < len(pairs) or sorted(values) != sorted(_settings_of(name)):
        raise ValueError(f"A channel must have each of its settings once: {_form(name)}. Received: channel={text!r}")
    return KINDS[name](**values)


def _settings_of(name: str) -> list[str]:
    return [field.name for field in dataclasses.fields(KINDS[name])]


def _form(name: str) -> str:
    settings = ",".join(f"{setting}=" for setting in _settings_of(name))
    return f"{name}({settings})" if settings else name
