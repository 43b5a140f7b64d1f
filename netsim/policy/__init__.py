"""Policies: what a training changes of itself, from what its rounds have taken so far."""

from netsim.policy.adaptive_ratio import AdaptiveRatio
from netsim.policy.adaptive_steps import AdaptiveSteps
from netsim.policy.base import Measured, Policy, policies

__all__ = ["AdaptiveRatio", "AdaptiveSteps", "Measured", "Policy", "policies"]
