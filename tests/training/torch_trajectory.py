"""Ten steps of the study's training in PyTorch: what `test_torch_parity.py` asks of Keras, step for step.

    python tests/training/torch_trajectory.py tests/data/torch_trajectory.npz

A pretrained EfficientNet-Lite0 with all weights frozen and a new linear head, in `train()` mode: batch normalization
uses the batch's statistics and keeps averaging them, stochastic depth and dropout are on, Adam trains the head. All
that is random is drawn here by NumPy, so that Keras can be given the same, and only `network` and `trajectory` need
PyTorch. The file holds what came out, not what went in.
"""

import sys
from typing import Any

import numpy as np

from sonikeras.models import weights

STEPS, BATCH, CLASSES = 10, 8, 4
LENGTHS = [BATCH] * (STEPS - 1) + [5]  # the last batch is a partial one
SIZE = 96, 112  # even and odd maps on the way: both kinds of TensorFlow's 'same' padding
FEATURES = 1280
STRIDES = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]  # of the 16 blocks
DEPTH_RATE = DROPOUT = 0.2


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops of two photos at half their size, float32 RGB in 0..255, and labels: which photo, and which half of it."""
    from sklearn.datasets import load_sample_image

    generator = np.random.default_rng(seed)
    photos = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    height, width = (2 * length for length in SIZE)
    labels = generator.integers(CLASSES, size=count)
    crops = []
    for label in labels:
        photo, half = photos[label // 2], label % 2
        top = generator.integers(photo.shape[0] - height)
        left = half * photo.shape[1] // 2 + generator.integers(photo.shape[1] // 2 - width)
        crops.append(photo[top : top + height : 2, left : left + width : 2])
    return np.stack(crops).astype("float32"), labels


def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    """The pictures and labels of every step."""
    images, labels = pictures(sum(LENGTHS), seed=0)
    ends = np.cumsum(LENGTHS)[:-1]
    return list(zip(np.split(images, ends), np.split(labels, ends), strict=True))


def probe() -> np.ndarray:
    """Pictures to compare features of."""
    return pictures(2, seed=1)[0]


def head() -> tuple[np.ndarray, np.ndarray]:
    """The new head's first kernel [features, classes] and bias."""
    generator = np.random.default_rng(2)
    limit = FEATURES**-0.5
    return tuple(generator.uniform(-limit, limit, shape).astype("float32") for shape in ((FEATURES, CLASSES), CLASSES))


def noise(step: int) -> dict[Any, np.ndarray]:
    """What decides of the dropping in a step, uniform in 0..1: by block [batch], and by `"head"` [batch, features].

    Where a number is below the rate its sample, or its feature, is dropped.
    """
    generator = np.random.default_rng((3, step))
    blocks = {index: generator.uniform(size=BATCH) for index in range(len(STRIDES))}
    return blocks | {"head": generator.uniform(size=(BATCH, FEATURES))}


def network() -> Any:
    """Returns the pretrained EfficientNet-Lite0 with the new head, its weights frozen but for the head's."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Convolution(nn.Conv2d):
        """Without a bias, with TensorFlow's 'same' padding."""

        def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> None:
            super().__init__(inputs, outputs, size, stride, groups=groups, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pads: list[int] = []
            for length in (x.shape[-1], x.shape[-2]):
                outputs = -(-length // self.stride[0])
                total = max((outputs - 1) * self.stride[0] + self.kernel_size[0] - length, 0)
                pads += [total // 2, total - total // 2]
            return super().forward(functional.pad(x, pads))

    def norm(channels: int) -> nn.BatchNorm2d:
        return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.1)

    def drop(x: torch.Tensor, numbers: np.ndarray, rate: float) -> torch.Tensor:
        """What `torch.nn.Dropout` and torchvision's `StochasticDepth` do, with given numbers."""
        kept = torch.from_numpy(numbers[: len(x)] >= rate).reshape(len(x), -1, *[1] * (x.ndim - 2))
        return x * kept / (1 - rate)

    class Block(nn.Module):
        def __init__(self, index: int, inputs: int, outputs: int, size: int) -> None:
            super().__init__()
            hidden = 6 * inputs if index else inputs
            if index:
                self._expand_conv, self._bn0 = Convolution(inputs, hidden, 1), norm(hidden)
            self._depthwise_conv = Convolution(hidden, hidden, size, STRIDES[index], groups=hidden)
            self._bn1 = norm(hidden)
            self._project_conv, self._bn2 = Convolution(hidden, outputs, 1), norm(outputs)
            self.index = index
            self.residual = inputs == outputs and STRIDES[index] == 1

        def forward(self, x: torch.Tensor, numbers: dict[Any, np.ndarray] | None) -> torch.Tensor:
            before = x
            if self.index:
                x = functional.relu6(self._bn0(self._expand_conv(x)))
            x = functional.relu6(self._bn1(self._depthwise_conv(x)))
            x = self._bn2(self._project_conv(x))
            if not self.residual:
                return x
            if numbers is not None:
                x = drop(x, numbers[self.index], DEPTH_RATE * self.index / len(STRIDES))
            return x + before

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            repeats = 1, 2, 2, 3, 3, 4, 1
            outputs = np.repeat((16, 24, 40, 80, 112, 192, 320), repeats).tolist()
            sizes = np.repeat((3, 3, 5, 3, 5, 5, 3), repeats).tolist()
            self._conv_stem, self._bn0 = Convolution(3, 32, 3, stride=2), norm(32)
            shapes = zip([32, *outputs[:-1]], outputs, sizes, strict=True)
            self._blocks = nn.ModuleList(Block(index, *shape) for index, shape in enumerate(shapes))
            self._conv_head, self._bn1 = Convolution(320, FEATURES, 1), norm(FEATURES)
            self._fc = nn.Linear(FEATURES, 1000)

        def features(self, images: np.ndarray, numbers: dict[Any, np.ndarray] | None = None) -> torch.Tensor:
            x = (torch.from_numpy(images).permute(0, 3, 1, 2) - 127) / 128
            x = functional.relu6(self._bn0(self._conv_stem(x)))
            for block in self._blocks:
                x = block(x, numbers)
            return functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3))

        def forward(self, images: np.ndarray, numbers: dict[Any, np.ndarray]) -> torch.Tensor:
            return self._fc(drop(self.features(images, numbers), numbers["head"], DROPOUT))

    net = Network()
    net.load_state_dict(torch.load(weights.installed_path("efficientnet_lite0"), weights_only=True))
    net.requires_grad_(False)
    net._fc = nn.Linear(FEATURES, CLASSES)
    kernel, bias = (torch.from_numpy(array) for array in head())
    with torch.no_grad():
        net._fc.weight.copy_(kernel.T)
        net._fc.bias.copy_(bias)
    return net


def trajectory() -> dict[str, np.ndarray]:
    """Trains the ten steps. Returns losses, features of `probe()`, the head and all batch normalizations' averages."""
    import torch

    def features() -> np.ndarray:
        net.eval()
        with torch.no_grad():
            return net.features(probe()).numpy()

    net = network()
    result = {"features_before": features()}
    net.train()
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for step, (images, labels) in enumerate(batches()):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(images, noise(step)), torch.from_numpy(labels))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    return result | {
        "losses": np.array(losses, "float32"),
        "features_after": features(),
        "kernel": net._fc.weight.detach().numpy().T,
        "bias": net._fc.bias.detach().numpy(),
        "means": np.concatenate([norm.running_mean.numpy() for norm in norms]),
        "variances": np.concatenate([norm.running_var.numpy() for norm in norms]),
    }


if __name__ == "__main__":
    np.savez_compressed(sys.argv[1], **trajectory())
