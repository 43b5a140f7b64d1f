"""Synchronisation architectures: from one collective of a bucket to rounds of transfers."""

from netsim.sync.all_gather import AllGather
from netsim.sync.all_to_all import AllToAll
from netsim.sync.base import Collective, Payload, Sync, carrier, syncs
from netsim.sync.parameter_server import ParameterServer
from netsim.sync.ring import Ring
from netsim.sync.tree import Tree

__all__ = [
    "AllGather",
    "AllToAll",
    "Collective",
    "ParameterServer",
    "Payload",
    "Ring",
    "Sync",
    "Tree",
    "carrier",
    "syncs",
]
