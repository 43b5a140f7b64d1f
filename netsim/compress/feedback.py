"""Wrappers that send later what was not sent: only one of them can, in any stack of schemes."""

from __future__ import annotations

from typing import ClassVar

from netsim.compress.base import Wrapper
from netsim.errors import InputError


class Feedback(Wrapper):
    """A wrapper that takes the inner scheme's own contribution for what there was of this step's tensor.

    A contribution with older steps in it would be subtracted here as well as there, and a majority's sign, which has no
    size, says nothing of what is left. Neither ends: sums of estimates grow without bound, or hold nothing.
    """

    feeds_back: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raise InputError around a scheme that feeds back by itself, or whose estimate has no size."""
        chain = self.inner.chain()
        if self.inner.feeds_back:
            which = [one.kind for one in chain if one.feeds_back][-1]
            raise InputError(
                f"{self.kind} cannot wrap {which!r}, which itself sends later what was not sent",
                f"leave {self.kind} out, or {which}",
            )
        if self.inner.scale_free:
            raise InputError(
                f"{self.kind} cannot wrap {chain[-1].kind!r}, whose estimate has no size to leave anything of",
                f"leave {self.kind} out, or wrap scaled_sign, whose signs have the gradient's size",
            )
