"""Packages that can be called, so that `netsim.topology(...)` and `netsim.topology.Star` both say what they mean."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


def make_callable(module: str, home: str) -> None:
    """Let a module be called as the function of the same name in module `home`, which is imported on the first call."""
    name = module.rpartition(".")[2]

    class CallableModule(ModuleType):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return getattr(import_module(home), name)(*args, **kwargs)

    sys.modules[module].__class__ = CallableModule
