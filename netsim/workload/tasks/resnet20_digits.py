"""ResNet-20 on handwritten digits: a small convolutional network, as in many compression papers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from netsim.lazy import torch
from netsim.workload.tasks.base import Samples, Task, tasks

if TYPE_CHECKING:
    from collections.abc import Iterable


@tasks.register("resnet20-digits", paper="He et al. 2016, CVPR, section 4.2")
@dataclass(frozen=True, kw_only=True)
class Resnet20Digits(Task):
    """ResNet-20 for CIFAR (269,722 parameters) on scikit-learn's 1,797 digits, upsampled to 3 x 32 x 32."""

    default_batch: ClassVar[int] = 32
    default_steps: ClassVar[tuple[int, ...]] = (5, 40, 100)
    width: Annotated[int, Ge(1)] = 16
    blocks_per_stage: Annotated[int, Ge(1)] = 3

    def samples(self) -> Samples:
        """Return the digits, bilinearly upsampled from 8 x 8, grey in all three channels, mean 0 and variance 1."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        small = torch.from_numpy(digits.images).float()[:, None]
        images = torch.nn.functional.interpolate(small, size=(32, 32), mode="bilinear", align_corners=False)
        images = (images - images.mean()) / images.std()
        return Samples(images.repeat(1, 3, 1, 1), torch.from_numpy(digits.target).long())

    def model(self) -> torch.nn.Module:
        """Return the network with its usual initialisation."""
        from netsim.workload.tasks.resnet import ResNet

        return ResNet(self.width, self.blocks_per_stage, classes=10)

    def optimizer(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return SGD with momentum 0.9, weight decay 1e-4 and the paper's learning rate 0.1."""
        return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-4)
