"""torch, imported on first use: a scenario is checked, and help is printed, without paying for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
else:
    import lazy_loader

    torch = lazy_loader.load("torch")

__all__ = ["torch"]
