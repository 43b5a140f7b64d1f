"""What is written can be read back, and SimGrid's platform holds the same links and routes."""

from __future__ import annotations

from dataclasses import fields
from xml.etree import ElementTree

import numpy as np
import pytest

from netsim.errors import InputError
from netsim.topology import File, GpuCluster, LeafSpine, Star, Wan
from netsim.topology.export import export

KINDS = {
    "star": Star(workers=3, bandwidth=1.25e9 / 3, latency=1e-3 / 7),
    "gpu_cluster": GpuCluster(bandwidth=1e9, cards_per_machine=2),
    "leaf_spine": LeafSpine(leaves=3, hosts_per_leaf=2, bandwidth=1e9),
    "wan": Wan(round_trips=(0.01, 0.02, 0.03), bandwidth=1e9),
    "wan with windows": Wan(round_trips=(0.01,), bandwidth=1e9, windows=(1e6 / 3, 2e6)),
}


def by_name(topology):
    """Return every link's properties by its name: the order of links is not part of a file."""
    columns = (topology.capacity_bytes_per_s, topology.latency_s, topology.local)
    return {name: tuple(column[link] for column in columns) for link, name in enumerate(topology.link_names)}


@pytest.mark.parametrize("ending", [".json", ".graphml"])
@pytest.mark.parametrize("name", KINDS)
def test_files_are_read_back_as_they_were(tmp_path, name, ending):
    topology, path = KINDS[name].build(2), tmp_path / f"cluster{ending}"
    export(topology, path)
    again = File(path=str(path)).build(2)
    assert again.names == topology.names
    assert again.ecmp == topology.ecmp
    np.testing.assert_array_equal(again.workers, topology.workers)
    np.testing.assert_array_equal(again.servers, topology.servers)
    assert by_name(again) == by_name(topology)
    np.testing.assert_equal(again.window_bytes, topology.window_bytes)


@pytest.mark.parametrize("name", KINDS)
def test_a_simgrid_platform_holds_hosts_links_and_routes(tmp_path, name):
    topology, path = KINDS[name].build(1), tmp_path / "platform.xml"
    export(topology, path)
    zone = ElementTree.parse(path).getroot().find("zone")
    hosts = [host.get("id") for host in zone.findall("host")]
    assert len(hosts) == len(topology.workers) + 1
    links = {link.get("id"): link for link in zone.findall("link")}
    assert {key: (float(one.get("bandwidth")[:-3]), float(one.get("latency")[:-1])) for key, one in links.items()} == {
        key: value[:2] for key, value in by_name(topology).items()
    }
    routes = zone.findall("route")
    assert len(routes) == len(hosts) * (len(hosts) - 1)
    for route in routes:
        here = route.get("src")
        for link in route.findall("link_ctn"):
            start, _, end = link.get("id").partition("->")
            assert start == here
            here = end
        assert here == route.get("dst")


def test_every_attribute_is_written():
    """A new attribute of a topology must be written too, or be left out here with a reason."""
    public = {one.name for one in fields(KINDS["star"].build()) if not one.name.startswith("_")}
    written = {
        "names",
        "workers",
        "servers",
        "link_src",
        "link_dst",
        "capacity_bytes_per_s",
        "latency_s",
        "local",
        "ecmp",
        "window_bytes",
    }
    assert public == written


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.dot"):
        export(KINDS["star"].build(), tmp_path / "cluster.dot")
    with pytest.raises(InputError, match="cannot be written"):
        export(KINDS["star"].build(), tmp_path / "nowhere" / "cluster.xml")
