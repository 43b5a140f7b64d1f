"""Live problems: linear models on generated data, on scikit-learn's bundled data sets, and on a user's files."""

from netsim.workload.problems.bundled import Bundled
from netsim.workload.problems.generated import Logistic, Ridge
from netsim.workload.problems.table import Table

__all__ = ["Bundled", "Logistic", "Ridge", "Table"]
