"""netsim predicts the end-to-end speedup of gradient compression on a simulated cluster."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "api": [
            "collective_time",
            "compress",
            "load",
            "record_gradients",
            "scheme",
            "simulate",
            "sweep",
            "topology",
            "transfer_times",
        ],
        "errors": ["InputError", "NetsimError", "ScenarioErrors", "TraceError"],
        "topology.graph": ["Topology"],
    },
)
