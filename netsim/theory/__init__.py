"""Closed forms, each citing its source; the simulator is tested against them."""
