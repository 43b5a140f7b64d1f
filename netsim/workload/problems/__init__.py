"""Live problems: linear models on generated, bundled and users' data, and the networks of the built-in tasks."""

from netsim.workload.problems.bundled import Bundled
from netsim.workload.problems.generated import Logistic, Ridge
from netsim.workload.problems.table import Table
from netsim.workload.problems.task import LiveTask, Network

__all__ = ["Bundled", "LiveTask", "Logistic", "Network", "Ridge", "Table"]
