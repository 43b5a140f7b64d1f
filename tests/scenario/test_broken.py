"""Broken scenarios: each gives the right line, the problem and the remedy, and none runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from netsim.errors import ScenarioErrors
from netsim.scenario import document
from netsim.scenario.load import load

if TYPE_CHECKING:
    from pathlib import Path

TOPOLOGY = "topology: {kind: star, workers: 4, bandwidth: 10 Gbit/s}\n"
WORKLOAD = "workload: {kind: recorded, trace: tiny}\n"
HEAD = TOPOLOGY + WORKLOAD
"""Two good lines: what a case adds begins on line 3."""


@dataclass(frozen=True)
class Broken:
    """A text, the line of its problem, and fragments of what must be said about it, in order."""

    name: str
    text: str
    line: int
    said: tuple[str, ...]


CASES = [
    Broken("typo in a top key", HEAD + "sceed: 3", 3, ("sceed: unknown key 'sceed'", "did you mean 'seed'")),
    Broken(
        "typo in a plug-in's key",
        "topology:\n  kind: star\n  bandwith: 1 Gbit/s\n  bandwidth: 1 Gbit/s\n" + WORKLOAD,
        3,
        ("topology.bandwith: unknown key 'bandwith' of topology 'star'", "did you mean 'bandwidth'"),
    ),
    Broken(
        "a key of another kind",
        "topology: {kind: star, bandwidth: 1 Gbit/s,\n  hop_latency: 1 us}\n" + WORKLOAD,
        2,
        ("topology.hop_latency: unknown key", "it is a key of topology gpu_cluster"),
    ),
    Broken(
        "a key of many other kinds",
        HEAD + "train: {optimizer: {kind: easgd, batch: 16}}",
        3,
        ("unknown key 'batch' of optimizer 'easgd'", "it is a key of optimizer sgd, momentum, adam and "),
    ),
    Broken("a key of a section at the top", HEAD + "bandwidth: 1 Gbit/s", 3, ("write it under `topology:`",)),
    Broken("transport at the top", HEAD + "transport: tcp", 3, ("unknown key 'transport'", "under `network:`")),
    Broken(
        "missing unit",
        "topology: {kind: star, bandwidth: 10}\n" + WORKLOAD,
        1,
        ("topology.bandwidth: bandwidth 10 needs a unit", "write for example '10 Gbit/s'"),
    ),
    Broken(
        "ambiguous b",
        "topology: {kind: star, bandwidth: 10 Gb/s}\n" + WORKLOAD,
        1,
        ("'Gb/s' is not a unit of bandwidth", "write 'bit' for bits or 'B' for bytes"),
    ),
    Broken(
        "bits for bytes",
        HEAD + "job:\n  bucket: 25 Mbit",
        4,
        ("job.bucket: 'Mbit' is not a unit of size", "sizes are in bytes"),
    ),
    Broken(
        "bytes for a rate",
        "topology: {kind: star, bandwidth: 10 GB}\n" + WORKLOAD,
        1,
        ("'GB' is not a unit of bandwidth", "write 'GB/s' (per second)"),
    ),
    Broken(
        "negative bandwidth",
        "topology: {kind: star, bandwidth: -1 Gbit/s}\n" + WORKLOAD,
        1,
        ("bandwidth '-1 Gbit/s' must be finite and more than zero", "write for example"),
    ),
    Broken(
        "exponent beyond all numbers",
        "topology: {kind: star, bandwidth: 1e99999999999999999999 Gbit/s}\n" + WORKLOAD,
        1,
        ("topology.bandwidth: bandwidth '1e99999999999999999999 Gbit/s' must be finite", "write for example"),
    ),
    Broken(
        "no latency unit",
        "topology: {kind: star, bandwidth: 1 Gbit/s, latency: 25}\n" + WORKLOAD,
        1,
        ("topology.latency: duration 25 needs a unit", "'25 us'"),
    ),
    Broken(
        "infinite bandwidth",
        "topology: {kind: star, bandwidth: .inf}\n" + WORKLOAD,
        1,
        ("topology.bandwidth: inf is not a bandwidth", "'10 Gbit/s'"),
    ),
    Broken(
        "missing required key",
        "topology:\n  kind: star\n" + WORKLOAD,
        1,
        ("topology: missing key 'bandwidth'", "add `bandwidth: 10 Gbit/s`"),
    ),
    Broken("missing topology", "about: x\n" + WORKLOAD, 1, ("topology: missing key 'topology'", "gpu_cluster")),
    Broken("missing workload", "about: x\n" + TOPOLOGY, 1, ("workload: missing key 'workload'", "recorded")),
    Broken(
        "missing kind",
        "topology: {workers: 4}\n" + WORKLOAD,
        1,
        ("topology: topology has no 'kind'", "valid kinds: dragonfly, fat_tree, file, gpu_cluster, "),
    ),
    Broken(
        "unknown topology",
        "topology: {kind: sta, bandwidth: 1 Gbit/s}\n" + WORKLOAD,
        1,
        ("unknown topology 'sta'", "did you mean 'star'?"),
    ),
    Broken(
        "unknown scheme",
        HEAD + "schemes:\n  - none\n  - topkk\n",
        5,
        ("schemes.1: unknown scheme 'topkk'", "did you mean 'topk'"),
    ),
    Broken(
        "unknown transport",
        HEAD + "network: {kind: flow, transport: tpc}",
        3,
        ("network.transport: unknown transport 'tpc'", "did you mean 'tcp'?"),
    ),
    Broken("unknown network", HEAD + "network: flows", 3, ("unknown network 'flows'", "did you mean 'flow'?")),
    Broken(
        "out of range",
        HEAD + "schemes:\n  - kind: topk\n    ratio: 1.5\n",
        5,
        ("schemes.0.ratio: must be at most 1", "not 1.5"),
    ),
    Broken("zero steps", HEAD + "job: {steps: 0}", 3, ("job.steps: must be at least 1, not 0",)),
    Broken(
        "text for a number",
        HEAD + "schemes: [{kind: powersgd, rank: '2'}]",
        3,
        ("schemes.0.rank: must be an integer, not the text '2'", "write for example"),
    ),
    Broken("truth for a number", HEAD + "job: {steps: true}", 3, ("must be an integer, not true",)),
    Broken("fraction for a number", HEAD + "job: {steps: 2.5}", 3, ("job.steps: must be an integer, not 2.5",)),
    Broken(
        "unknown choice",
        HEAD + "job: {overlap: dpp}",
        3,
        ("job.overlap: cannot be the text 'dpp'", "did you mean 'ddp'?"),
    ),
    Broken("number for text", "about: 3\n" + HEAD, 1, ("about: must be text, not 3",)),
    Broken("negative seed", HEAD + "seed: -7", 3, ("seed: must be at least 0, not -7",)),
    Broken(
        "map for a list", HEAD + "schemes: topk", 3, ("is 'topk' where a list is expected", "schemes: [none, topk]")
    ),
    Broken("empty list of schemes", HEAD + "schemes: []", 3, ("schemes: is an empty list",)),
    Broken(
        "repeated scheme", HEAD + "schemes:\n- topk\n- {kind: topk}\n", 5, ("is the same scheme as schemes.0", "remove")
    ),
    Broken(
        "wrapper around nothing",
        HEAD + "schemes: [error_feedback, topk]",
        3,
        ("schemes.0: missing key 'inner'", "[wrapper, scheme]"),
    ),
    Broken(
        "scheme as a wrapper",
        HEAD + "schemes: [[topk, qsgd]]",
        3,
        ("schemes.0.0: 'topk' is no wrapper", "error_feedback"),
    ),
    Broken(
        "fed back twice",
        HEAD + "schemes: [[error_feedback, local_clipping, dgc]]",
        3,
        ("schemes.0.0: error_feedback cannot wrap 'dgc', which itself sends later", "leave error_feedback out, or dgc"),
    ),
    Broken(
        "feedback of what has no size",
        HEAD + "schemes: [[ef21, sign_majority]]",
        3,
        ("schemes.0.0: ef21 cannot wrap 'sign_majority'", "wrap scaled_sign"),
    ),
    Broken(
        "pruning a vector",
        TOPOLOGY + "workload: {kind: ridge, samples: 9, features: 3}\ntrain: {optimizer: {kind: pactrain}}\n",
        3,
        ("train.optimizer: optimizer 'pactrain' has nothing to do in workload 'ridge'", "momentum"),
    ),
    Broken(
        "crossed bounds of a ratio",
        TOPOLOGY
        + "workload: {kind: ridge, samples: 9, features: 3}\n"
        + "train: {optimizer: {kind: onebit_lamb, ratio_least: 5, ratio_most: 1}}\n",
        3,
        ("train.optimizer.ratio_least: ratio_least is 5.0, more than ratio_most, 1.0", "swap them"),
    ),
    Broken(
        "impossible pair",
        HEAD + "sync: ring\nschemes:\n  - none\n  - [two_way, scaled_sign]\n",
        6,
        (
            "schemes.1: scheme 'two_way' sends messages of op 'owner', which sync 'ring' cannot carry",
            "parameter_server",
        ),
    ),
    Broken(
        "more co-located servers than workers",
        HEAD + "sync: {kind: parameter_server, servers: 5, placement: colocated}",
        3,
        ("5 co-located servers do not fit on 4 workers", "dedicated"),
    ),
    Broken(
        "transport without effect",
        HEAD + "network:\n  kind: ideal\n  transport: tcp\n",
        5,
        ("network.transport: has no effect on the `ideal` network", "remove it"),
    ),
    Broken(
        "bucket without effect",
        HEAD + "job:\n  overlap: per_tensor\n  first_bucket: 1 MiB\n",
        5,
        ("job.first_bucket: has no effect with `overlap: per_tensor`", "overlap: ddp"),
    ),
    Broken(
        "spread without a distribution",
        HEAD + "job: {straggler: {spread: 0.2}}",
        3,
        ("job.straggler.spread: has no effect without a distribution", "add `distribution: lognormal`"),
    ),
    Broken(
        "distribution without a spread",
        HEAD + "job: {straggler: {distribution: uniform}}",
        3,
        ("job.straggler.distribution: has no effect with a spread of 0", "spread: 0.2"),
    ),
    Broken(
        "a warm-up longer than the job",
        HEAD + "job: {steps: 4}\nschemes:\n  - [{kind: warm_up, steps: 4}, topk]\n",
        4,
        ("schemes: scheme 'topk+warm_up(steps=4)' is still warming up when the job's 4 steps are over", "steps: ..."),
    ),
    Broken(
        "damaged cost table",
        HEAD + "schemes: [topk]\ncost:\n  kind: measured\n  table: broken.json\n",
        6,
        ("cost.table: cost table", "broken.json", "cannot be read", "calibrate-schemes"),
    ),
    Broken(
        "a transport's congestion control under packets",
        HEAD + "network:\n  kind: packet\n  transport:\n    kind: tcp\n    congestion: cubic",
        7,
        ("network.transport.congestion: has no effect on the `packet` network", "beside `kind: packet`"),
    ),
    Broken(
        "slices under packets",
        HEAD + "network: {kind: packet, transport: {kind: gloo, slice: 64 KiB}}",
        3,
        ("network.transport.slice: has no effect on the `packet` network", "kind: flow"),
    ),
    Broken(
        "windows that no transport looks at",
        "topology: {kind: wan, bandwidth: 1 Gbit/s, windows: [1 MiB, 4 MiB]}\n"
        + WORKLOAD
        + "network: {transport: rdma}",
        1,
        ("topology.windows: has no effect: the transport", "tcp"),
    ),
    Broken(
        "checkpoints that nobody feels",
        HEAD + "job:\n  checkpoint:\n    every: 2",
        5,
        ("job.checkpoint.every: has no effect where saving takes no time and no node fails", "write: 1 s"),
    ),
    Broken(
        "more slow workers than workers",
        TOPOLOGY
        + "workload: ridge\nsync: parameter_server\n"
        + "train: {optimizer: central_vr_sync, speed_spread: 5, slow_workers: 5}",
        4,
        ("train.slow_workers: 5 workers of 4 are to be slow", "no more than there are"),
    ),
    Broken("cost without effect", HEAD + "cost: free", 3, ("cost: has no effect: nothing is encoded", "remove it")),
    Broken(
        "servers' bandwidth without servers",
        "topology: {kind: star, bandwidth: 1 Gbit/s, server_bandwidth: 2 Gbit/s}\n" + WORKLOAD,
        1,
        ("topology.server_bandwidth: has no effect", "parameter_server"),
    ),
    Broken(
        "swept key without effect",
        HEAD + "job: {overlap: per_tensor}\nsweep:\n  job.bucket: [1 MiB, 2 MiB]\n",
        5,
        ("job.bucket: has no effect with `overlap: per_tensor`",),
    ),
    Broken(
        "empty sweep", HEAD + "sweep:\n  seed: []\n", 4, ("sweep.seed: is swept over an empty list", "remove the key")
    ),
    Broken("sweep of nothing", HEAD + "sweep: {}", 3, ("sweep: sweeps nothing", "sweep: {topology.bandwidth:")),
    Broken(
        "sweep of no list", HEAD + "sweep: {seed: 3}", 3, ("sweep.seed: is swept over '3', which is no list", "[3]")
    ),
    Broken(
        "sweep of an unknown key",
        HEAD + "sweep: {topolgy.workers: [1, 2]}",
        3,
        ("sweep.topolgy.workers: unknown key 'topolgy'", "did you mean 'topology'?"),
    ),
    Broken(
        "sweep of a plug-in's unknown key",
        HEAD + "sweep:\n  topology.worker:\n    - 1\n    - 2\n",
        5,
        ("topology.worker: unknown key 'worker'", "did you mean 'workers'"),
    ),
    Broken(
        "sweep beyond a list",
        HEAD + "schemes: [topk]\nsweep: {schemes.1.ratio: [0.1]}",
        4,
        ("'1' is no place in the list 'schemes'", "0 to 0"),
    ),
    Broken(
        "lists of a zip that differ",
        HEAD + "sweep:\n  zip:\n    seed: [1, 2]\n    job.steps: [1]\n",
        4,
        ("lists differ in length: seed has 2, job.steps has 1", "equally long"),
    ),
    Broken(
        "bad value that a sweep replaces",
        "topology: {kind: star, bandwidth: 10}\n" + WORKLOAD + "sweep: {topology.bandwidth: [1 Gbit/s, 2 Gbit/s]}",
        1,
        ("topology.bandwidth: bandwidth 10 needs a unit", "write for example '10 Gbit/s'"),
    ),
    Broken(
        "bad value in a list that a sweep replaces",
        HEAD + "schemes:\n  - {kind: topk, ratio: 3}\nsweep: {schemes.0.ratio: [0.1, 0.2]}",
        4,
        ("schemes.0.ratio: ", "1"),
    ),
    Broken(
        "bad value in a sweep",
        HEAD + "sweep:\n  topology.bandwidth:\n    - 1 Gbit/s\n    - 2 Gb\n",
        6,
        ("topology.bandwidth: 'Gb' is not a unit of bandwidth", "ambiguous"),
    ),
    Broken(
        "too many points",
        HEAD
        + "sweep: {"
        + ", ".join(
            f"{key}: [{', '.join(map(str, range(1, 101)))}]"
            for key in ("seed", "job.steps", "topology.workers", "job.grad_accumulation")
        )
        + "}",
        3,
        ("sweep: has 100,000,000 points", "at most 100,000"),
    ),
    Broken(
        "missing trace",
        TOPOLOGY + "workload:\n  kind: recorded\n  trace: tinny\n",
        4,
        ("workload.trace: file 'tinny' is not found", "tried", "tinny.trace", "did you mean 'tiny'?"),
    ),
    Broken("truncated trace", TOPOLOGY + "workload: {kind: recorded, trace: cut}\n", 2, ("cut.trace", "capture")),
    Broken("foreign trace", TOPOLOGY + "workload: {kind: recorded, trace: notes}\n", 2, ("notes.trace", "capture")),
    Broken("empty trace", TOPOLOGY + "workload: {kind: recorded, trace: empty}\n", 2, ("empty.trace",)),
    Broken(
        "missing graph file",
        "topology: {kind: file, path: nowhere.json}\n" + WORKLOAD,
        1,
        ("topology.path: file 'nowhere.json' is not found", "tried"),
    ),
    Broken(
        "broken graph file",
        "topology: {kind: file, path: broken.json}\n" + WORKLOAD,
        1,
        ("topology: ", "broken.json: is not a graph", "node-link JSON"),
    ),
    Broken(
        "tag that would construct an object",
        HEAD + "about: !!python/object/apply:os.system ['touch owned']\n",
        3,
        ("tag '!!python/object/apply:os.system' is not allowed", "plain values"),
    ),
    Broken("tag on a key", HEAD + "!!str seed: 3\n", 3, ("tag '!!str' is not allowed",)),
    Broken(
        "alias bomb",
        HEAD
        + "about: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)),
        7,
        ("holds more than 100,000 values once its aliases are written out",),
    ),
    Broken("alias of nothing", HEAD + "seed: *lost\n", 3, ("alias *lost names no value",)),
    Broken("alias of itself", HEAD + "about: &me [*me]\n", 3, ("alias *me names no value",)),
    Broken("deep nesting", HEAD + "about: " + "[" * 5000, 3, ("nested more than 40 levels deep",)),
    Broken(
        "duplicate key", HEAD + "seed: 1\nabout: x\nseed: 2\n", 5, ("key 'seed' is written twice, first on line 3",)
    ),
    Broken(
        "duplicate key below",
        "topology:\n  kind: star\n  bandwidth: 1 Gbit/s\n  kind: file\n" + WORKLOAD,
        4,
        ("key 'kind' is written twice, first on line 2", "remove one"),
    ),
    Broken(
        "merge key",
        "topology:\n  <<: {kind: star}\n  bandwidth: 1 Gbit/s\n" + WORKLOAD,
        2,
        ("merge keys (`<<`) are not read", "write the keys out"),
    ),
    Broken(
        "indented by no-break spaces",
        HEAD + "job:\n\xa0\xa0steps: 3\n",
        4,
        ("U+00A0 before or in 'steps' is no plain space", "type the spaces of this line anew"),
    ),
    Broken(
        "more workers than can be simulated",
        "topology: {kind: star, workers: 99999999999999999999, bandwidth: 1 Gbit/s}\n" + WORKLOAD,
        1,
        ("topology: has 99,999,999,999,999,999,999 workers", "at most 1,000,000"),
    ),
    Broken(
        "more servers than can be simulated",
        HEAD + "sync: {kind: parameter_server, servers: 100000000000}",
        3,
        ("sync: has 100,000,000,004 workers and servers", "at most 1,000,000"),
    ),
    Broken(
        "a folder for a trace",
        TOPOLOGY + "workload: {kind: recorded, trace: traces}\n",
        2,
        ("traces' is a directory", "name a file in it"),
    ),
    Broken("tab", HEAD + "job:\n\tsteps: 3\n", 4, ("is not YAML", "indent with spaces, never tabs")),
    Broken("unclosed bracket", HEAD + "schemes: [none, topk\nseed: 3\n", 4, ("is not YAML", "brackets")),
    Broken("unclosed quote", HEAD + "about: 'never\n", 3, ("is not YAML", "quotes")),
    Broken("second document", HEAD + "---\nseed: 3\n", 3, ("holds a second YAML document",)),
    Broken("complex key", HEAD + "? [a, b]\n: 3\n", 3, ("a key is not a plain name",)),
    Broken("control character", HEAD + "about: \x07\n", 3, ("control character",)),
    Broken("list at the top", "- topology\n- workload\n", 1, ("holds a list where `key: value` lines are expected",)),
    Broken("text at the top", "run everything\n", 1, ("holds a single value where",)),
    Broken("empty file", "", 0, ("is empty", "topology:")),
    Broken("comments alone", "# nothing\n", 0, ("is empty",)),
]


@pytest.fixture(scope="session")
def home(folder: Path) -> Path:
    """The folder, with more files that cannot be used."""
    (folder / "traces" / "notes.trace").write_text("this is no trace, only some notes\n")
    (folder / "traces" / "empty.trace").write_bytes(b"")
    (folder / "broken.json").write_text("{")
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_broken_scenario_says_where_what_and_what_to_do(case, home):
    path = home / "broken.yaml"
    path.write_text(case.text)
    with pytest.raises(ScenarioErrors) as caught:
        load(path)
    first = caught.value.problems[0]
    assert (first.file, first.line) == (str(path), case.line), str(caught.value)
    rest = str(first)
    for fragment in case.said:
        assert fragment in rest
        rest = rest[rest.index(fragment) :]
    assert first.remedy
    assert len(caught.value.problems) == 1, str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_there_are_forty_and_no_two_are_alike():
    assert len(CASES) >= 40
    assert len({case.text for case in CASES}) == len({case.name for case in CASES}) == len(CASES)


def test_no_tag_was_obeyed(home):
    assert not (home / "owned").exists()


def only(path) -> str:
    with pytest.raises(ScenarioErrors) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert problem.remedy
    return str(problem)


def test_a_file_of_a_hundred_megabytes_is_not_read(home, monkeypatch):
    path = home / "large.yaml"
    with path.open("wb") as stream:
        stream.write(HEAD.encode() + b"about: ")
        stream.truncate(100_000_000)
    monkeypatch.setattr(document, "parse", lambda *_: pytest.fail("was parsed"))
    assert "is longer than 1,000,000 bytes; a scenario is a short text" in only(path)
    path.unlink()


def test_what_is_no_text_file(home):
    (home / "latin.yaml").write_bytes(HEAD.encode() + "about: d\xe9j\xe0 vu\n".encode("latin-1"))
    assert "latin.yaml:3: byte" in only(home / "latin.yaml")
    assert "is a directory" in only(home)
    assert "cannot be read: No such file or directory; scenarios in that folder: " in only(home / "no.yaml")
    assert "check the path" in only(home / "no" / "no.yaml")


def test_all_problems_are_told_at_once_in_the_order_of_lines(home):
    path = home / "many.yaml"
    path.write_text("""\
seed: -1
topology: {kind: star, bandwidth: 10, wokers: 3}
workload: {kind: recorded, trace: tinny}
schemes: [topkk, {kind: topk, ratio: 2}]
sync: rnig
job: {steps: 0}
sweep: {topology.latency: [1 us, 2 m], job.overlap: []}
""")
    with pytest.raises(ScenarioErrors) as caught:
        load(path)
    lines = [problem.line for problem in caught.value.problems]
    assert lines == [1, 2, 2, 3, 4, 4, 5, 6, 7, 7]
    assert len(str(caught.value).splitlines()) == 10


def test_a_problem_of_every_point_is_told_once(home):
    path = home / "swept.yaml"
    path.write_text(HEAD + "job: {steps: 0}\nsweep: {seed: [1, 2, 3], topology.workers: [1, 2, 3]}\n")
    with pytest.raises(ScenarioErrors) as caught:
        load(path)
    assert len(caught.value.problems) == 1
