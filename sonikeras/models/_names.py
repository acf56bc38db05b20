"""Names of backbones and heads, for those who need no Keras to list them."""

BACKBONES = (
    "efficientnet_lite0",
    "efficientnet_b0",
    "efficientnet_b5",
    "efficientnet_b7",
    "resnet50",
    "resnet152",
)

HEADS = ("linear", "mlp", "attention")
