"""A convolutional network written out in full, small enough to be read and trained anywhere."""

from __future__ import annotations

from torch import Tensor, nn

WIDTHS = (32, 64, 128, 256)
CNN_SIZE = 128  # the side of its input, pixels


class ConvStage(nn.Module):
    """Two 3 x 3 convolutions, then half the resolution: [N, I, H, W] -> [N, O, H/2, W/2]."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.relu(self.norm2(self.conv2(x)))
        pooled: Tensor = self.pool(x)
        return pooled


class SmallCNN(nn.Module):
    """Pictures [N, 3, H, W] -> embedding [N, 256]; the head that follows makes the logits."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        stages = []
        channels = 3  # red, green, blue
        for width in WIDTHS:
            stages.append(ConvStage(channels, width))
            channels = width
        self.stages = nn.Sequential(*stages)  # [N, 3, 128, 128] -> [N, 256, 8, 8]
        self.pool = nn.AdaptiveAvgPool2d(1)  # [N, 256, 8, 8] -> [N, 256, 1, 1]
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        embedding: Tensor = self.dropout(self.pool(self.stages(x)).flatten(1))  # [N, 256]
        return embedding
