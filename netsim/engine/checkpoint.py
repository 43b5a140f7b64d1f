"""A training on disk: trees of plain values, arrays and dataclasses as JSON and npz, written at one stroke."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from netsim.errors import InputError
from netsim.lazy import torch
from netsim.writing import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = "netsim checkpoint 1"


def save(path: Path, tree: Any) -> None:
    """Write a tree of None, numbers, strings, tuples, lists, dicts, arrays, tensors, dataclasses and named tuples."""
    arrays: list[np.ndarray[Any, Any]] = []
    text = json.dumps({"format": FORMAT, "tree": _encoded(tree, arrays)})

    def write(stream: Any) -> None:
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("tree.json", text)
            for number, array in enumerate(arrays):
                sink = io.BytesIO()
                np.save(sink, array, allow_pickle=False)
                archive.writestr(f"{number}.npy", sink.getvalue())

    write_atomically(path, write)


def load(path: Path) -> Any:
    """Return the tree; raise InputError where the file is damaged or names a class that is not one of those saved."""
    try:
        with zipfile.ZipFile(path) as archive:
            told = json.loads(archive.read("tree.json"))
            return _decoded({FORMAT: told["tree"]}[told["format"]], partial(_array, archive))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"is no checkpoint: {error}", "delete it; the training begins anew", file=str(path)) from error


def _array(archive: zipfile.ZipFile, number: int) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = np.load(io.BytesIO(archive.read(f"{number}.npy")), allow_pickle=False)
    return array


def _encoded(one: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    if one is None or isinstance(one, bool | int | float | str):
        return one
    if isinstance(one, np.generic):
        return one.item()
    if isinstance(one, np.ndarray | torch.Tensor):
        arrays.append(one if isinstance(one, np.ndarray) else one.detach().cpu().numpy())
        return {"array" if isinstance(one, np.ndarray) else "tensor": len(arrays) - 1}
    if isinstance(one, dict):
        return {"dict": [[_encoded(key, arrays), _encoded(value, arrays)] for key, value in one.items()]}
    if dataclasses.is_dataclass(one):
        named = {field.name: getattr(one, field.name) for field in dataclasses.fields(one) if field.init}
        return _of_class(one, [_encoded(value, arrays) for value in named.values()])
    if isinstance(one, tuple) and hasattr(one, "_fields"):
        return _of_class(one, [_encoded(value, arrays) for value in one])
    if isinstance(one, tuple | list):
        return {type(one).__name__: [_encoded(value, arrays) for value in one]}
    raise TypeError(f"a {type(one).__name__} cannot be kept")


def _of_class(one: Any, values: list[Any]) -> dict[str, Any]:
    return {"class": [type(one).__module__, type(one).__qualname__], "values": values}


def _decoded(told: Any, read: Any) -> Any:
    if not isinstance(told, dict):
        return told
    if "class" in told:
        cls = _class(*told["class"])
        values = [_decoded(value, read) for value in told["values"]]
        if dataclasses.is_dataclass(cls):
            names = [field.name for field in dataclasses.fields(cls) if field.init]
        else:
            names = list(cls._fields)
        return cls(**dict(zip(names, values, strict=True)))
    ((kind, held),) = told.items()
    if kind in {"array", "tensor"}:
        return read(held) if kind == "array" else torch.from_numpy(read(held))
    if kind == "dict":
        return {_decoded(key, read): _decoded(value, read) for key, value in held}
    return {"tuple": tuple, "list": list}[kind](_decoded(value, read) for value in held)


def _class(module: str, name: str) -> Any:
    """Return a dataclass or named tuple of a module that is loaded: a file can name nothing else."""
    cls = getattr(sys.modules.get(module), name, None)
    if isinstance(cls, type) and (
        dataclasses.is_dataclass(cls) or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    ):
        return cls
    raise ValueError(f"it names {module}.{name}")
