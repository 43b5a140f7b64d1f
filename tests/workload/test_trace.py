from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from netsim.errors import TraceError
from netsim.workload.trace import open_trace, read_header, write_trace
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from netsim.workload.trace_header import TraceFacts


def bits(tensor: torch.Tensor) -> list[int]:
    return np.ascontiguousarray(tensor.numpy()).view(np.uint32).reshape(-1).tolist()


def test_every_bit_returns(trace: Path, facts: TraceFacts, gradients: list[torch.Tensor]) -> None:
    read = open_trace(trace)
    expected = iter(gradients)
    for step in range(3):
        for worker in range(2):
            for tensor, gradient in zip(read.tensors, read.read(step, worker, 0, 4), strict=True):
                assert gradient.shape == tensor.shape
                assert gradient.dtype == torch.float32
                assert bits(gradient) == bits(next(expected))
    assert read.tensors == facts.tensors
    assert read.timing == facts.timing
    assert (read.num_steps, read.num_workers, read.device, read.label) == (3, 2, "a device", "small")


def test_every_fact_returns(trace: Path, facts: TraceFacts) -> None:
    header = read_header(trace)
    assert {name: getattr(header, name) for name in vars(facts)} == vars(facts)


def test_a_part_is_read_alone(trace: Path, gradients: list[torch.Tensor]) -> None:
    (one,) = open_trace(trace).read(1, 1, 1, 2)
    assert bits(one) == bits(gradients[(1 * 2 + 1) * 4 + 1])


def test_safetensors_itself_reads_a_trace(trace: Path, gradients: list[torch.Tensor]) -> None:
    assert bits(load_file(trace)["7/1/fc.weight"]) == bits(gradients[(1 * 2 + 1) * 4 + 1])


def test_reading_gives_memory_of_ones_own(trace: Path, gradients: list[torch.Tensor]) -> None:
    read = open_trace(trace)
    read.read(0, 0, 0, 1)[0].zero_()
    assert bits(read.read(0, 0, 0, 1)[0]) == bits(gradients[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_floats_are_kept_exactly(dtype: torch.dtype, tmp_path: Path, facts: TraceFacts) -> None:
    narrow = [torch.randn(tensor.shape).to(dtype) for _, tensor in facts.entries()]
    write_trace(tmp_path / "narrow.trace", facts, narrow)
    read = open_trace(tmp_path / "narrow.trace").read(0, 0, 0, 2)
    assert torch.equal(read[1].to(dtype), narrow[1])


def test_views_of_one_tensor_can_be_written(tmp_path: Path, facts: TraceFacts) -> None:
    base = torch.arange(15.0).reshape(5, 3)
    views = {"fc.bias": base[0], "fc.weight": base.T, "scale": base[0, 0], "nothing": base[:0].reshape(0, 4)}
    write_trace(tmp_path / "views.trace", facts, [views[tensor.name] for _, tensor in facts.entries()])
    assert torch.equal(open_trace(tmp_path / "views.trace").read(2, 1, 1, 2)[0], base.T)


def test_the_id_follows_the_content(tmp_path: Path, facts: TraceFacts, gradients: list[torch.Tensor]) -> None:
    ids = []
    for name, change in (("a", 0.0), ("b", 0.0), ("c", 1e-6)):
        gradients[-3].view(-1)[0] += change
        write_trace(tmp_path / name, facts, gradients)
        ids.append(read_header(tmp_path / name).trace_id)
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]


def test_the_header_is_read_without_torch(trace: Path) -> None:
    program = (
        "import sys; from netsim.workload import Recorded; "
        f"Recorded(trace={str(trace)!r}).check(); assert 'torch._C' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"PYTHONPATH": os.getcwd()})


def test_a_failed_write_changes_nothing(trace: Path, facts: TraceFacts, gradients: list[torch.Tensor]) -> None:
    before = trace.read_bytes()
    with pytest.raises(ValueError, match="zip"):
        write_trace(trace, facts, gradients[:-1])
    with pytest.raises(ValueError, match="shape"):
        write_trace(trace, facts, [torch.zeros(9), *gradients[1:]])
    assert trace.read_bytes() == before
    assert os.listdir(trace.parent) == [trace.name]


def test_an_interrupt_while_saving_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, facts: TraceFacts, gradients: list[torch.Tensor]
) -> None:
    def interrupted(_: object, path: str, __: object) -> None:
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("safetensors.torch.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_trace(tmp_path / "new.trace", facts, gradients)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("place", ["missing/new.trace", "."])
def test_an_impossible_place_is_refused(
    place: str, tmp_path: Path, facts: TraceFacts, gradients: list[torch.Tensor]
) -> None:
    with pytest.raises(TraceError, match="writable folder"):
        write_trace(tmp_path / place, facts, gradients)


def metadata(header: dict[str, Any]) -> dict[str, Any]:
    return header["__metadata__"]


def replace_gradient(header: dict[str, Any], **entry: object) -> None:
    header["2/0/fc.weight"] |= entry


HEADER_DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "no metadata": lambda header: header.pop("__metadata__"),
    "metadata that is no object": lambda header: header.update(__metadata__=[1]),
    "no format": lambda header: metadata(header).pop("format"),
    "a foreign format": lambda header: metadata(header).update(format="pt"),
    "a version that is no number": lambda header: metadata(header).update(format="netsim-trace/x"),
    "a future version": lambda header: metadata(header).update(format="netsim-trace/2"),
    "no tensors": lambda header: metadata(header).update(tensors=[]),
    "no values": lambda header: metadata(header).update(tensors=[["nothing", [0, 4]]]),
    "tensors that are no list": lambda header: metadata(header).update(tensors=3),
    "a negative shape": lambda header: metadata(header)["tensors"][0].__setitem__(1, [-3]),
    "a fractional shape": lambda header: metadata(header)["tensors"][0].__setitem__(1, [3.0]),
    "another shape": lambda header: metadata(header)["tensors"][1].__setitem__(1, [5, 3]),
    "a tensor too many": lambda header: metadata(header)["tensors"].append(["more", [1]]),
    "two tensors of one name": lambda header: metadata(header)["tensors"][0].__setitem__(0, "scale"),
    "a name that is no text": lambda header: metadata(header)["tensors"][0].__setitem__(0, 7),
    "no timing": lambda header: metadata(header).pop("timing"),
    "a time that is text": lambda header: metadata(header)["timing"].update(forward_s="1"),
    "a negative time": lambda header: metadata(header)["timing"].update(forward_s=-1.0),
    "a time that is not a number": lambda header: metadata(header)["timing"].update(optimizer_s=float("nan")),
    "falling ready times": lambda header: metadata(header)["timing"].update(ready_s=[0.5, 0.25, 0.5, 0.5]),
    "a gradient after the end": lambda header: metadata(header)["timing"].update(backward_s=0.6),
    "too few ready times": lambda header: metadata(header)["timing"].update(ready_s=[0.5]),
    "no steps": lambda header: metadata(header).update(steps=[]),
    "falling steps": lambda header: metadata(header).update(steps=[7, 2, 30]),
    "a step that is true": lambda header: metadata(header).update(steps=[True, 7, 30]),
    "another step": lambda header: metadata(header).update(steps=[2, 7, 31]),
    "no workers": lambda header: metadata(header).update(workers=0),
    "a worker too many": lambda header: metadata(header).update(workers=3),
    "missing losses": lambda header: metadata(header)["losses"].pop(),
    "a loss that is text": lambda header: metadata(header)["losses"][0].__setitem__(0, "low"),
    "no device": lambda header: metadata(header)["origin"].pop("device"),
    "a batch that is text": lambda header: metadata(header)["origin"].update(batch="4"),
    "too few digests": lambda header: metadata(header)["digests"].pop(),
    "a missing gradient": lambda header: header.pop("2/0/fc.weight"),
    "an unknown gradient": lambda header: header.update(more=header["2/0/fc.weight"]),
    "half precision": lambda header: replace_gradient(header, dtype="F16"),
    "a gradient of another shape": lambda header: replace_gradient(header, shape=[5, 3]),
    "a gradient of another size": lambda header: replace_gradient(header, data_offsets=[0, 4]),
    "a gradient without a place": lambda header: header["2/0/fc.weight"].pop("data_offsets"),
    "a gradient outside the file": lambda header: replace_gradient(header, data_offsets=[10**6, 10**6 + 60]),
    "a gradient that is no object": lambda header: header.update({"2/0/fc.weight": 3}),
}


@pytest.mark.parametrize("damage", HEADER_DAMAGE)
def test_a_damaged_header_is_refused(damage: str, rewrite: Callable[..., Path]) -> None:
    path = rewrite(HEADER_DAMAGE[damage])
    with pytest.raises(TraceError, match=r"trace '.*small\.trace' .*; .+"):
        read_header(path)


def test_an_unchanged_header_is_accepted(rewrite: Callable[..., Path]) -> None:
    open_trace(rewrite(lambda header: None)).read(0, 0, 0, 4)


def test_a_future_version_asks_for_an_upgrade(rewrite: Callable[..., Path]) -> None:
    with pytest.raises(TraceError, match="upgrade netsim"):
        read_header(rewrite(HEADER_DAMAGE["a future version"]))


FILE_DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "three bytes": lambda data: data[:3],
    "length only": lambda data: data[:8],
    "half a header": lambda data: data[:100],
    "header only": lambda data: data[: 8 + int.from_bytes(data[:8], "little")],
    "a byte short": lambda data: data[:-1],
    "a byte too long": lambda data: data + b"\0",
    "line ends converted": lambda data: data.replace(b"\0", b"\0\0"),
    "an absurd length": lambda data: b"\xff" * 8 + data[8:],
    "a length of zero": lambda data: b"\0" * 8 + data[8:],
    "text": lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
    "a pickle": lambda data: pickle.dumps({"a": 1}),
    "a zip": lambda data: b"PK\3\4" + data,
    "not UTF-8": lambda data: data[:12] + b"\xff\xfe" + data[14:],
    "broken JSON": lambda data: data[:8] + b"{[" + data[10:],
    "a JSON list": lambda data: (2).to_bytes(8, "little") + b"[]",
    "deep JSON": lambda data: (200_000).to_bytes(8, "little") + b'{"a":' + b"[" * 199_995,
}


@pytest.mark.parametrize("damage", FILE_DAMAGE)
def test_a_damaged_file_is_refused(damage: str, trace: Path) -> None:
    trace.write_bytes(FILE_DAMAGE[damage](trace.read_bytes()))
    with pytest.raises(TraceError, match=r"trace '.*small\.trace' .*; .+"):
        open_trace(trace)


def test_every_truncation_is_found(trace: Path) -> None:
    data = trace.read_bytes()
    for length in range(0, len(data), 97):
        trace.write_bytes(data[:length])
        with pytest.raises(TraceError):
            read_header(trace)


def test_a_foreign_safetensors_file_is_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(TraceError, match="something else"):
        open_trace(tmp_path / "model.safetensors")


def test_a_flipped_bit_is_found_when_read(trace: Path) -> None:
    data = bytearray(trace.read_bytes())
    data[-1] ^= 1
    trace.write_bytes(data)
    read = open_trace(trace)
    with pytest.raises(TraceError, match="is damaged: gradient of"):
        [read.read(step, worker, 0, 4) for step in range(3) for worker in range(2)]


def test_a_file_that_vanishes_is_an_error_of_its_own(trace: Path) -> None:
    read = open_trace(trace)
    trace.unlink()
    with pytest.raises(TraceError, match="removed"):
        read.read(0, 0, 0, 1)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="there is no trace"):
        read_header(tmp_path / "none.trace")
    with pytest.raises(TraceError, match="cannot be read"):
        read_header(tmp_path)


@pytest.mark.parametrize(
    "place", [(3, 0, 0, 1), (-1, 0, 0, 1), (0, 2, 0, 1), (0, -1, 0, 1), (0, 0, 0, 5), (0, 0, -1, 1)]
)
def test_what_is_outside_the_trace_is_refused(place: tuple[int, int, int, int], trace: Path) -> None:
    with pytest.raises(IndexError, match="outside the trace"):
        open_trace(trace).read(*place)
