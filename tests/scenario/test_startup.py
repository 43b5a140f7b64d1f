"""A check is light: it loads nothing that only a run, a plot or a table needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = ("torch._C", "matplotlib", "pandas", "pyarrow", "scipy", "loky", "sklearn", "numba")


def loaded(path: Path) -> list[str]:
    """Return the number of points of a scenario, and the heavy modules that its check has loaded."""
    code = "import sys; from netsim.scenario.load import load; print(len(load(sys.argv[1]))); "
    code += f"print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return done.stdout.split("\n")[:2]


def test_a_check_loads_nothing_heavy(folder):
    path = folder / "eighty.yaml"
    path.write_text("""\
topology: {kind: star, workers: 16, bandwidth: 10 Gbit/s}
workload: {kind: recorded, trace: tiny}
schemes: [none, fp16, bf16, rms_sign, scaled_sign, topk, randomk, qsgd]
sync: [ring, parameter_server]
sweep: {topology.bandwidth: [1 Gbit/s, 2 Gbit/s, 5 Gbit/s, 10 Gbit/s, 100 Gbit/s]}
""")
    assert loaded(path) == ["80", "[]"]


def test_a_check_of_a_training_compiles_nothing():
    assert loaded(ROOT / "scenarios" / "centralvr-ridge.yaml")[1] == "[]"
