"""netsim predicts the end-to-end speedup of gradient compression on a simulated cluster."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "api": ["collective_time", "scheme", "topology", "transfer_times"],
        "compress.drive": ["compress"],
        "engine.simulate": ["simulate"],
        "errors": ["InputError", "NetsimError", "ScenarioErrors", "TraceError"],
        "scenario.load": ["load"],
        "sweep": ["sweep"],
        "topology.graph": ["Topology"],
        "workload.record": ["record_gradients"],
    },
)
