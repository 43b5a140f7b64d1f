"""Topologies: arrays of links and routes, built from networkx graphs."""

from netsim.calls import make_callable
from netsim.topology.base import TopologyKind, topologies
from netsim.topology.file import File
from netsim.topology.gpu_cluster import GpuCluster
from netsim.topology.graph import Topology
from netsim.topology.star import Star

__all__ = ["File", "GpuCluster", "Star", "Topology", "TopologyKind", "topologies"]

make_callable(__name__, "netsim.api")
