"""Calibration: from measured times to the efficiency, overhead and cap of a transport."""

from netsim.calibration.fit import Estimate, Fit, fit
from netsim.calibration.log import read_log
from netsim.calibration.predict import Cluster
from netsim.calibration.sample import OPERATIONS, POINT_TO_POINT, Hints, Sample

__all__ = ["OPERATIONS", "POINT_TO_POINT", "Cluster", "Estimate", "Fit", "Hints", "Sample", "fit", "read_log"]
