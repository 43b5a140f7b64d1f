"""Gradients of real training, replayed; the seconds their computation took; the tasks and the recorder behind them."""

from netsim.workload.base import Gradients, Tensor, Timing, Workload, workloads
from netsim.workload.live import Live, Objective, Problem
from netsim.workload.problems import Bundled, LiveTask, Logistic, Network, Ridge, Table
from netsim.workload.published import Published
from netsim.workload.recorded import Recorded

__all__ = [
    "Bundled",
    "Gradients",
    "Live",
    "LiveTask",
    "Logistic",
    "Network",
    "Objective",
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
