"""The stages of EfficientNet-B0, of which all other EfficientNets are scaled."""

from __future__ import annotations

from typing import NamedTuple


class Stage(NamedTuple):
    """Inverted bottleneck blocks with feature maps of one size.

    Attributes:
        expansion: Integer, the factor by which a block expands its channels.
        kernel: Integer, the size of the depthwise convolutions.
        stride: Integer, of the first block.
        inputs: Integer, input channels of the first block.
        outputs: Integer, output channels of each block.
        blocks: Integer, the number of blocks.
    """

    expansion: int
    kernel: int
    stride: int
    inputs: int
    outputs: int
    blocks: int


STAGES = (
    Stage(1, 3, 1, 32, 16, 1),
    Stage(6, 3, 2, 16, 24, 2),
    Stage(6, 5, 2, 24, 40, 2),
    Stage(6, 3, 2, 40, 80, 3),
    Stage(6, 5, 1, 80, 112, 3),
    Stage(6, 5, 2, 112, 192, 4),
    Stage(6, 3, 1, 192, 320, 1),
)
