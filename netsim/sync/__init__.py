"""Synchronisation architectures: from one collective of a bucket to rounds of transfers."""

from netsim.sync.all_gather import AllGather
from netsim.sync.all_to_all import AllToAll
from netsim.sync.base import Collective, Payload, Sync, carrier, syncs
from netsim.sync.double_binary_tree import DoubleBinaryTree
from netsim.sync.halving_doubling import HalvingDoubling
from netsim.sync.hierarchical import Hierarchical
from netsim.sync.parameter_server import ParameterServer
from netsim.sync.ring import Ring
from netsim.sync.torus import Torus2d
from netsim.sync.tree import Tree

__all__ = [
    "AllGather",
    "AllToAll",
    "Collective",
    "DoubleBinaryTree",
    "HalvingDoubling",
    "Hierarchical",
    "ParameterServer",
    "Payload",
    "Ring",
    "Sync",
    "Torus2d",
    "Tree",
    "carrier",
    "syncs",
]
