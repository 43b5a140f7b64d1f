"""Gradients of real training, replayed; the seconds their computation took; the tasks and the recorder behind them."""

from netsim.workload.base import Gradients, Tensor, Timing, Workload, workloads
from netsim.workload.live import Live, Problem
from netsim.workload.problems import Bundled, Logistic, Ridge, Table
from netsim.workload.published import Published
from netsim.workload.recorded import Recorded

__all__ = [
    "Bundled",
    "Gradients",
    "Live",
    "Logistic",
    "Problem",
    "Published",
    "Recorded",
    "Ridge",
    "Table",
    "Tensor",
    "Timing",
    "Workload",
    "workloads",
]
