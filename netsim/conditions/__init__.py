"""Conditions: what befalls the network and the workers while a job runs."""

from netsim.conditions.background import Background
from netsim.conditions.base import Cluster, Condition, conditions
from netsim.conditions.devices import Devices
from netsim.conditions.link_failure import LinkFailure
from netsim.conditions.link_profile import LinkProfile
from netsim.conditions.neighbour import Neighbour
from netsim.conditions.node_failure import NodeFailure
from netsim.conditions.packet_loss import PacketLoss

__all__ = [
    "Background",
    "Cluster",
    "Condition",
    "Devices",
    "LinkFailure",
    "LinkProfile",
    "Neighbour",
    "NodeFailure",
    "PacketLoss",
    "conditions",
]
