"""The claim of a folder: a JSON file that notes how its contents were made, so that two ways never mix."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sonikeras.config._checks import shown
from sonikeras.config._files import TEMPORARY, read_json, replacing
from sonikeras.config._sonification import SonificationConfig

# Entries of a plan that are configs: `SonificationConfig.to_dict()`, of this version or an older one.
_CONFIGS = ("config", "sonification")


def claim(
    path: str | os.PathLike[str],
    plan: Mapping[str, Any],
    notes: Mapping[str, Any] | None = None,
    *,
    shared: bool = False,
) -> None:
    """Writes into a folder how its contents are made, or checks that an earlier claim says the same.

    Configs are equal if they describe the same chain. Temporary files that a killed process left in the folder are
    removed, unless other processes may be writing there.

    Args:
        path: Path of the JSON file in that folder.
        plan: How the contents are made, as values that JSON has. Tuples count as lists. A config is the entry `config`
            or `sonification`.
        notes: Further entries, which are not compared. Defaults to `None`.
        shared: Boolean, whether other processes may write to the folder at the same time. Defaults to `False`.

    Raises:
        ValueError: The file has another plan, and the message names the differences; or it is damaged.
    """
    if first := not Path(path).exists():
        # Escaping all but ASCII keeps folder names that are not UTF-8.
        text = json.dumps({**plan, **(notes or {})}, indent=2, allow_nan=False) + "\n"
        with replacing(path, keep=True) as temporary:
            temporary.write_bytes(text.encode())
    before = read_json(path, "Choose another folder, or delete this one")
    plan = json.loads(json.dumps(plan))
    old, new = (dict(_leaves({key: _comparable(key, each.get(key)) for key in plan})) for each in (before, plan))
    differences = {key: (old.get(key), new.get(key)) for key in {**old, **new} if old.get(key) != new.get(key)}
    if differences:
        each = (f"{key[:200]!r}: ({shown(old)}, {shown(new)})" for key, (old, new) in differences.items())
        raise ValueError(
            "A folder must be new, or its contents made in the same way: choose another one. "
            f"Received: {Path(path).parent}, with the differences (before, now) {{{', '.join(each)[:4000]}}}"
        )
    for leftover in [] if first or shared else Path(path).parent.rglob(f".*{TEMPORARY}*"):
        leftover.unlink(missing_ok=True)


def _comparable(key: str, value: Any) -> Any:
    if key in _CONFIGS and isinstance(value, dict):
        try:
            return SonificationConfig.from_dict(value).resolved().to_dict()
        except ValueError:  # then it differs
            return value
    return value


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
