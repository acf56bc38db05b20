"""Weight files: PyTorch's state dicts in Keras layers, and the source of a backbone's weights."""

from sonikeras.models._efficientnet_lite import load_efficientnet_lite
from sonikeras.models._layer_weights import set_layers
from sonikeras.models._pytorch_files import is_pytorch, read_state_dict
from sonikeras.models._weight_sources import at_hand, find_weights, installed_path

__all__ = [
    "at_hand",
    "find_weights",
    "installed_path",
    "is_pytorch",
    "load_efficientnet_lite",
    "read_state_dict",
    "set_layers",
]
