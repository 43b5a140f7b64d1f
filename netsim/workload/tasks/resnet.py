"""The CIFAR form of ResNet (He et al. 2016, CVPR, section 4.2): three stages, shortcuts without parameters."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut: where the shape changes, it is strided and padded with zero channels."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.new_channels = channels - channels_in

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return [batch, channels, height / stride, width / stride]."""
        residual = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(images)))))
        before = self.new_channels // 2
        shortcut = images[:, :, :: self.stride, :: self.stride]
        shortcut = functional.pad(shortcut, (0, 0, 0, 0, before, self.new_channels - before))
        return functional.relu(residual + shortcut)


class ResNet(nn.Module):
    """6 n + 2 layers for n blocks a stage, on images [batch, 3, 32, 32]; returns logits [batch, classes]."""

    def __init__(self, width: int, blocks_per_stage: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks, channels_in = [], width
        for stage in range(3):
            for place in range(blocks_per_stage):
                channels = width * 2**stage
                blocks.append(Block(channels_in, channels, stride=2 if stage > 0 and place == 0 else 1))
                channels_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(channels_in, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, classes]."""
        features = self.blocks(functional.relu(self.bn1(self.conv1(images))))
        logits: torch.Tensor = self.fc(features.mean(dim=(2, 3)))
        return logits
