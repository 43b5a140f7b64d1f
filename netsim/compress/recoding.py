"""Wrappers that run another exchange with what a scheme of one message encodes and decodes."""

from __future__ import annotations

from netsim.compress.base import OneShot, Wrapper
from netsim.errors import InputError


class Recoding(Wrapper):
    """A wrapper whose exchange takes the place of the inner scheme's, which so has to be that of any OneShot."""

    def __post_init__(self) -> None:
        """Raise InputError where the inner scheme needs more than one message, or an exchange of its own."""
        if not isinstance(self.inner, OneShot) or type(self.inner).exchange is not OneShot.exchange:
            raise InputError(
                f"{self.kind} cannot wrap {self.inner.kind!r}",
                "put a scheme of one message that all workers decode, such as rms_sign or topk, inside it and other "
                f"wrappers around it, as in [error_feedback, {self.kind}, topk]",
            )

    @property
    def coder(self) -> OneShot:
        """Return the inner scheme."""
        assert isinstance(self.inner, OneShot)
        return self.inner
