"""The networks of torchvision in plain PyTorch, with the names of its state dicts: the reference of the Keras ones.

    python tests/models/torch_networks.py

writes the features that `test_torchvision_weights.py` compares with where PyTorch is missing.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

# A row a stage of B0: expansion, kernel, stride, channels, blocks.
STAGES = [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3)]
STAGES += [(6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)]


def unit(inputs, outputs, kernel=1, stride=1, groups=1, epsilon=1e-5, activation=True):
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    parts = [convolution, nn.BatchNorm2d(outputs, eps=epsilon)]
    return nn.Sequential(*parts, nn.SiLU()) if activation else nn.Sequential(*parts)


class Excitation(nn.Module):
    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        mean = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(nn.functional.silu(self.fc1(mean))))


class InvertedBottleneck(nn.Module):
    def __init__(self, inputs, outputs, expansion, kernel, stride, epsilon):
        super().__init__()
        channels = inputs * expansion
        parts = [unit(inputs, channels, epsilon=epsilon)] if expansion > 1 else []
        parts.append(unit(channels, channels, kernel, stride, channels, epsilon))
        parts.append(Excitation(channels, max(1, inputs // 4)))
        parts.append(unit(channels, outputs, epsilon=epsilon, activation=False))
        self.block = nn.Sequential(*parts)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.block(x) if self.residual else self.block(x)


class EfficientNet(nn.Module):
    def __init__(self, width, depth, epsilon, classes=1000):
        super().__init__()
        channels = rounded(32 * width)
        parts = [unit(3, channels, 3, 2, epsilon=epsilon)]
        for expansion, kernel, stride, outputs, blocks in STAGES:
            outputs = rounded(outputs * width)
            stage = []
            for block in range(math.ceil(blocks * depth)):
                stage.append(InvertedBottleneck(channels, outputs, expansion, kernel, 1 if block else stride, epsilon))
                channels = outputs
            parts.append(nn.Sequential(*stage))
        parts.append(unit(channels, 4 * channels, epsilon=epsilon))
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(4 * channels, classes))

    def forward(self, x):
        return self.features(x)


class Bottleneck(nn.Module):
    def __init__(self, inputs, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        changes = stride > 1 or inputs != 4 * channels
        self.downsample = unit(inputs, 4 * channels, stride=stride, activation=False) if changes else None

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, blocks, classes=1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for stage, count in enumerate(blocks):
            layer = []
            for block in range(count):
                layer.append(Bottleneck(inputs, 64 << stage, 2 if stage and not block else 1))
                inputs = 256 << stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(2048, classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return x


NETWORKS = {
    "efficientnet_b0": lambda: EfficientNet(1.0, 1.0, 1e-5),
    "efficientnet_b5": lambda: EfficientNet(1.6, 2.2, 1e-3),
    "efficientnet_b7": lambda: EfficientNet(2.0, 3.1, 1e-3),
    "resnet50": lambda: ResNet([3, 4, 6, 3]),
    "resnet152": lambda: ResNet([3, 8, 36, 3]),
}


def rounded(channels):
    """To the nearest multiple of 8, one higher if that takes away more than a tenth."""
    nearest = 8 * max(1, math.floor(channels / 8 + 0.5))
    return nearest + 8 if nearest < 0.9 * channels else nearest


def build(name):
    """The network without values: only names, shapes and types."""
    with torch.device("meta"):
        return NETWORKS[name]()


def feature_map(name, state, pictures, train=False):
    """The feature map, channels last, of pictures in 0..255, channels last; and the state dict after that."""
    network = build(name).train(train)
    values = {key: torch.from_numpy(value.copy()) for key, value in state.items()}
    assert not network.load_state_dict(values, strict=False, assign=True).unexpected_keys  # a classifier may lack
    mean, std = (torch.tensor(each)[:, None, None] for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        x = (torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255 - mean) / std
        features = network(x).permute(0, 2, 3, 1).numpy()
    return features, {key: value.numpy() for key, value in network.state_dict().items() if not value.is_meta}


def write_features():
    from test_torchvision_weights import STORED, draw, make_pictures

    features = {}
    for name in ("efficientnet_b0", "resnet50"):
        shapes = {key: tuple(value.shape) for key, value in build(name).state_dict().items() if value.ndim}
        features[name] = feature_map(name, draw(name, shapes), make_pictures())[0].mean((1, 2))[:, ::8]
    STORED.parent.mkdir(exist_ok=True)
    np.savez_compressed(STORED, **features)


if __name__ == "__main__":
    write_features()
