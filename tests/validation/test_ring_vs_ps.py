"""Ring all-reduce against parameter servers on 4 to 32 V100: Shi et al. 2020, arXiv 2005.13247, results of 2020-05-29.

Samples/s of a step without overlap ("BSP"), 4 GPUs a machine behind PCIe. One achieved rate a network is fitted on the
8-GPU row of ResNet-50 over the ring; all else is predicted from published tensor sizes and the measured speed of one
GPU. A ring inside one machine runs over the same PCIe hop that limits InfiniBand, so that rate is the hop's too.
Servers (BytePS) have as many machines as the workers; a machine adds up its GPUs' gradients before it pushes, and its
PCIe hop is taken as hidden behind the network. The 100GbE rows are left out: those of the servers equal the 10GbE ones.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from netsim.network import fidelities, transports
from netsim.network.run import plan_times
from netsim.sync import ParameterServer, Payload, Ring
from netsim.topology import GpuCluster, Star
from netsim.workload.published import load_model
from tests.validation.compare import Compared, show

GPUS = (4, 8, 16, 32)
BATCH = {"resnet50": 64, "bert-large": 8, "bert-base": 64}
ONE_GPU = {"resnet50": 253.1, "bert-large": 49.0, "bert-base": 212.8}
MEASURED = {
    # (network, model): samples/s on 4, 8, 16, 32 GPUs over the ring, and over servers
    ("10GbE", "resnet50"): ((925.02, 1282.28, 2485.12, 4920.82), (866.3, 1194.44, 2361.27, 4376.578)),
    ("10GbE", "bert-large"): ((53.04, 28.96, 54.3, 105.1), (51.42, 28.367, 59.22, 117.957)),
    ("IB", "resnet50"): ((920.28, 1821.2, 3602.9, 7126.52), (862.96, 1694.9, 3353.225, 6587.627)),
    ("IB", "bert-large"): ((53.08, 99.18, 191.64, 375.22), (51.38, 88.51, 168.215, 355.69)),
}


@cache
def nbytes_of(model):
    return 4.0 * sum(one.numel for one in load_model(model).tensors)


def plan_s(topology, sync, nbytes):
    workers, servers = topology.workers, topology.servers
    payload = Payload("sum", np.full(len(workers), nbytes), nbytes, np.ones(1, dtype=np.int64))
    rounds = sync.rounds(payload, workers, servers)
    nodes = np.concatenate([workers, servers])
    return plan_times(fidelities.get("flow")(), topology, transports.get("ideal")(), rounds, nodes).max()


def ring_s(model, gpus, card, hop):
    cluster = GpuCluster(machines=gpus // 4, gpus_per_machine=4, bandwidth=card, hop_bandwidth=hop)
    return plan_s(cluster.build(), Ring(), nbytes_of(model))


def servers_s(model, gpus, card, hop):
    machines = gpus // 4
    if machines == 1:
        return ring_s(model, gpus, card, hop)
    topology = Star(workers=machines, bandwidth=card).build(machines)
    return plan_s(topology, ParameterServer(servers=machines, sharding="even"), nbytes_of(model))


def compute_s(model):
    return BATCH[model] / ONE_GPU[model]


@cache
def fitted(network, on="resnet50"):
    """Return the rate in bytes/s at which the 8-GPU row of a model over the ring comes out."""
    (_, rate, _, _), _ = MEASURED[network, on]
    exchange_s = 8 * BATCH[on] / rate - compute_s(on)
    return 2 * 7 / 8 * nbytes_of(on) / exchange_s


def samples_per_s(network, model, gpus, exchange, on):
    hop = fitted("IB", on)
    card = min(fitted(network, on), hop)
    return gpus * BATCH[model] / (compute_s(model) + exchange(model, gpus, card, hop))


@cache
def compared(on="resnet50"):
    return {
        (network, model, gpus, exchange.__name__): Compared(
            f"{network} {model} {gpus} GPUs {exchange.__name__[:-2]}",
            samples_per_s(network, model, gpus, exchange, on),
            column[place],
        )
        for (network, model), columns in MEASURED.items()
        for exchange, column in zip((ring_s, servers_s), columns, strict=True)
        for place, gpus in enumerate(GPUS)
    }


def errors(on="resnet50", **wanted):
    keys = ("network", "model", "gpus", "exchange")
    rows = {
        key: row for key, row in compared(on).items() if wanted.items() <= dict(zip(keys, key, strict=True)).items()
    }
    show(f"samples/s without overlap {wanted}, rates of {on}", list(rows.values()))
    return np.abs([row.error for row in rows.values()])


def test_the_fitted_rates():
    """10GbE is all but full; InfiniBand of 100 Gbit/s moves what a PCIe ring moves."""
    assert fitted("10GbE") * 8 / 1e9 == pytest.approx(9.77, abs=0.02)
    assert fitted("IB") * 8 / 1e9 == pytest.approx(50.6, abs=0.5)


@pytest.mark.parametrize("network", ["10GbE", "IB"])
@pytest.mark.parametrize("exchange", ["ring_s", "servers_s"])
def test_resnet50_within_12_percent(network, exchange):
    found = errors(network=network, model="resnet50", exchange=exchange)
    assert found.max() <= 0.12
    if exchange == "ring_s":
        assert np.median(found) <= 0.05


@pytest.mark.parametrize(("network", "gpus", "error"), [("10GbE", 32, 0.31), ("IB", 8, 0.12)])
def test_partitions_that_overlap_would_be_faster_than_the_servers_were(network, gpus, error):
    """BytePS pushes partitions of 4 MB, whose pulls could overlap; what was measured is what whole gradients take."""
    nbytes, machines = nbytes_of("resnet50"), gpus // 4
    topology = Star(workers=machines, bandwidth=min(fitted(network), fitted("IB"))).build(machines)
    payload = Payload("sum", np.full(machines, nbytes), nbytes, np.array([int(nbytes / 4)]))
    servers = ParameterServer(servers=machines, sharding="even", partition=4e6)
    rounds = servers.rounds(payload, topology.workers, topology.servers)
    nodes = np.concatenate([topology.workers, topology.servers])
    exchange_s = plan_times(fidelities.get("flow")(), topology, transports.get("ideal")(), rounds, nodes).max()
    predicted = gpus * BATCH["resnet50"] / (compute_s("resnet50") + exchange_s)
    measured = MEASURED[network, "resnet50"][1][GPUS.index(gpus)]
    assert predicted / measured - 1 == pytest.approx(error, abs=0.01)


def test_what_crosses_10gbe_within_12_percent():
    found = np.concatenate([errors(network="10GbE", gpus=gpus) for gpus in (8, 16, 32)])
    assert np.median(found) == pytest.approx(0.052, abs=0.001)
    assert found.max() <= 0.12


BERT = """BERT-Large spends 0.16 s a step beyond its bytes and one GPU's speed, wherever a ring carries them, which a
rate fitted on ResNet-50 cannot know; nor is that rate certain, of an exchange that is a tenth of a step"""


BERT_BASE = {
    # samples/s of BERT-Base over the ring, from the same table
    "10GbE": (555.52, 518.94, 984.88, 1926.64),
    "IB": (555.7, 1082.42, 2112.96, 4184.38),
}


def rings():
    """Yield every ring's row: network, model, GPUs, measured seconds of a step."""
    rows = {key: columns[0] for key, columns in MEASURED.items()}
    rows |= {(network, "bert-base"): column for network, column in BERT_BASE.items()}
    for (network, model), column in rows.items():
        for gpus, rate in zip(GPUS, column, strict=True):
            yield network, model, gpus, gpus * BATCH[model] / rate


def test_two_rates_and_a_time_for_each_model_explain_all_rings():
    """What a step takes beyond its bytes and one GPU's is the model's, over either network and inside one machine.

    It goes with the tensors: 0.4 ms each where the published runs update by AdamW, of some ten kernels a tensor that
    Python launches once the exchange is over, 0.03 ms where by SGD. On one GPU launches hide behind the backward pass.
    """
    models, rows, steps_s = list(BATCH), [], []
    for network, model, gpus, step_s in rings():
        nbytes, over_card = 2 * (gpus - 1) / gpus * nbytes_of(model), network == "10GbE" and gpus > 4
        rows.append([nbytes * over_card, nbytes * (not over_card), *(model == one for one in models)])
        steps_s.append(step_s)
    relative = np.array(rows, dtype=float) / np.array(steps_s)[:, None]
    found, *_ = np.linalg.lstsq(relative, np.ones(len(rows)), rcond=None)
    assert np.abs(relative @ found - 1).max() <= 0.012
    assert 8e-9 / found[:2] == pytest.approx([9.86, 58.2], abs=0.1)
    more_s = found[2:] - [compute_s(model) for model in models]
    assert more_s == pytest.approx([0.0041, 0.163, 0.071], abs=0.001)
    each_s = more_s / [len(load_model(model).tensors) for model in models]
    assert each_s == pytest.approx([0.026e-3, 0.416e-3, 0.356e-3], abs=0.005e-3)


@pytest.mark.parametrize(("network", "median", "worst"), [("10GbE", 0.071, 0.141), ("IB", 0.124, 0.14)])
def test_bert_base_over_a_ring_is_as_published(network, median, worst):
    """Another model of the same table, by the same rates: too fast by its 0.07 s a step."""
    found = [
        samples_per_s(network, model, gpus, ring_s, "resnet50") * step_s / (gpus * BATCH[model]) - 1
        for one, model, gpus, step_s in rings()
        if (one, model) == (network, "bert-base")
    ]
    assert np.median(found) == pytest.approx(median, abs=0.002)
    assert max(found) == pytest.approx(worst, abs=0.002)


@pytest.mark.parametrize(("network", "median", "worst"), [("10GbE", 0.027, 0.136), ("IB", 0.029, 0.080)])
def test_rates_of_bert_large_carry_over_to_resnet50(network, median, worst):
    """The same single fit a network, on the 8-GPU row whose exchange is most of the step: InfiniBand meets both bounds,
    10GbE all but the servers of BERT-Large on 16 and 32, which pushed and pulled in part at once."""
    found = errors("bert-large", network=network)
    assert np.median(found) == pytest.approx(median, abs=0.002)
    assert found.max() == pytest.approx(worst, abs=0.002)


@pytest.mark.parametrize(("network", "median", "worst"), [("10GbE", 0.064, 0.296), ("IB", 0.139, 0.299)])
def test_the_errors_of_all_rows_are_as_published(network, median, worst):
    found = errors(network=network)
    assert np.median(found) == pytest.approx(median, abs=0.002)
    assert found.max() == pytest.approx(worst, abs=0.002)


@pytest.mark.parametrize("network", ["10GbE", "IB"])
@pytest.mark.xfail(strict=True, reason=BERT)
def test_all_rows_within_12_percent_median_5(network):
    found = errors(network=network)
    assert np.median(found) <= 0.05
    assert found.max() <= 0.12


def winners():
    """Yield the rows whose measured gap exceeds 10 %: which, whether the ring won, whether it was predicted to."""
    rows = compared()
    for network, model in MEASURED:
        for gpus in GPUS:
            ring, servers = (rows[network, model, gpus, name] for name in ("ring_s", "servers_s"))
            gap = ring.measured / servers.measured
            if max(gap, 1 / gap) > 1.10:
                yield (network, model, gpus), gap > 1, ring.predicted > servers.predicted


MISSED = ("10GbE", "bert-large", 32)


def test_the_winner_is_right_in_three_of_four_rows():
    rows = list(winners())
    assert len(rows) == 4
    assert [which for which, won, predicted in rows if won != predicted] == [MISSED]


@pytest.mark.xfail(
    strict=True, reason="predicted: ring by 3 %; measured: servers by 12 %, faster than push and pull in turn allow"
)
def test_the_winner_is_right_wherever_the_gap_exceeds_10_percent():
    assert all(won == predicted for _, won, predicted in winners())
