"""Results: tidy tables and provenance."""

from netsim.record.result import PARTS, RUN_COLUMNS, TRAIN_COLUMNS, Result

__all__ = ["PARTS", "RUN_COLUMNS", "TRAIN_COLUMNS", "Result"]
