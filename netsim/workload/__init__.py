"""Gradients of real training, replayed; the seconds their computation took; the tasks and the recorder behind them."""

from netsim.workload.base import Gradients, Tensor, Timing, Workload, workloads
from netsim.workload.published import Published
from netsim.workload.recorded import Recorded

__all__ = ["Gradients", "Published", "Recorded", "Tensor", "Timing", "Workload", "workloads"]
