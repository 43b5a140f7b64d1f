"""netsim predicts the end-to-end speedup of gradient compression on a simulated cluster."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["compress", "sweep", "topology"],  # each can be called, too
    submod_attrs={
        "api": ["collective_time", "scheme", "transfer_times"],
        "engine.simulate": ["simulate"],
        "errors": ["InputError", "NetsimError", "ScenarioErrors", "TraceError"],
        "scenario.load": ["load"],
        "topology.graph": ["Topology"],
        "workload.record": ["record_gradients"],
    },
)
