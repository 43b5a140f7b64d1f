"""Topologies: arrays of links and routes, built from networkx graphs."""

from netsim.calls import make_callable
from netsim.topology.base import TopologyKind, topologies
from netsim.topology.dragonfly import Dragonfly
from netsim.topology.fat_tree import FatTree
from netsim.topology.file import File
from netsim.topology.gpu_cluster import GpuCluster
from netsim.topology.graph import Topology
from netsim.topology.leaf_spine import LeafSpine
from netsim.topology.part import Part
from netsim.topology.star import Star
from netsim.topology.torus import Torus
from netsim.topology.wan import Wan

__all__ = [
    "Dragonfly",
    "FatTree",
    "File",
    "GpuCluster",
    "LeafSpine",
    "Part",
    "Star",
    "Topology",
    "TopologyKind",
    "Torus",
    "Wan",
    "topologies",
]

make_callable(__name__, "netsim.api")
