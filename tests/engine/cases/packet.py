"""Cases of the packet fidelity: a server with a shallow port shows everything."""

from __future__ import annotations

PACKET = "{kind: packet, transport: ideal%s}"
RENO = ", queue: fifo, congestion: reno, buffer: 8 kB%s"
DCTCP = ", queue: fifo, congestion: dctcp, mark: 4 kB, initial_window: 2%s"
SERVER = {"sync": "parameter_server", "job": "{steps: 1}"}

CASES = {
    "network.packet.mtu": (
        SERVER | {"network": PACKET % ""},
        {"network": PACKET % ", mtu: 9 kB"},
    ),
    "network.packet.queue": (
        {"job": "{steps: 1}", "sync": "{kind: parameter_server, servers: 2}", "network": PACKET % ""},
        {"network": PACKET % ", queue: fifo"},
    ),
    "network.packet.congestion": (
        SERVER | {"network": PACKET % "", "topology": "{kind: star, workers: 4, bandwidth: 1 Gbit/s, latency: 10 ms}"},
        {"network": PACKET % ", congestion: reno"},
    ),
    "network.packet.buffer": (
        SERVER | {"network": PACKET % (RENO % "")},
        {"network": PACKET % ", queue: fifo, congestion: reno, buffer: 16 kB"},
    ),
    "network.packet.mark": (
        SERVER | {"network": PACKET % (DCTCP % "")},
        {"network": PACKET % ", queue: fifo, congestion: dctcp, mark: 8 kB, initial_window: 2"},
    ),
    "network.packet.window": (
        SERVER | {"network": PACKET % ""},
        {"network": PACKET % ", window: 3 kB"},
    ),
    "network.packet.initial_window": (
        SERVER | {"network": PACKET % (RENO % "")},
        {"network": PACKET % (RENO % ", initial_window: 1")},
    ),
    "network.packet.timeout": (
        SERVER | {"network": PACKET % (RENO % "")},
        {"network": PACKET % (RENO % ", timeout: 10 ms")},
    ),
}
