"""Gradient compression: the schemes, and a call to try one on tensors at hand.

The package itself can be called: `netsim.compress(scheme, grads)` is `netsim.compress.compress(scheme, grads)`.
"""

from __future__ import annotations

from netsim.calls import make_callable
from netsim.compress.base import Message, NonFiniteGradient, OneShot, Peer, Reply, Scheme, Wrapper, schemes
from netsim.compress.drive import Compressed, compress

# Members are listed in the order of these lines.
# isort: off
from netsim.compress.none import Uncompressed
from netsim.compress.fp16 import Fp16
from netsim.compress.bf16 import Bf16
from netsim.compress.fp8 import Fp8
from netsim.compress.int8 import Int8
from netsim.compress.scaled_sign import ScaledSign
from netsim.compress.rms_sign import RmsSign
from netsim.compress.onebit_columns import OneBitColumns
from netsim.compress.compressed_all_reduce import CompressedAllReduce
from netsim.compress.sign_majority import SignMajority
from netsim.compress.terngrad import TernGrad
from netsim.compress.natural import Natural
from netsim.compress.natural_dithering import NaturalDithering
from netsim.compress.lloyd_max import LloydMax
from netsim.compress.vector_quantizer import VectorQuantizer
from netsim.compress.rotated_sign import Drive
from netsim.compress.eden import Eden
from netsim.compress.thc import THC
from netsim.compress.count_sketch import CountSketch
from netsim.compress.topk import TopK
from netsim.compress.topk_quantized import TopKQuantized
from netsim.compress.threshold import Threshold
from netsim.compress.adaptive_threshold import AdaptiveThreshold
from netsim.compress.block_topk import BlockTopK
from netsim.compress.dgc import DGC
from netsim.compress.gtopk import GTopK
from netsim.compress.oktopk import OkTopK
from netsim.compress.pactrain import PacTrain
from netsim.compress.omnireduce import OmniReduce
from netsim.compress.sparcml import SparCML
from netsim.compress.zen import Zen
from netsim.compress.randomk import RandomK
from netsim.compress.qsgd import QSGD
from netsim.compress.powersgd import PowerSGD
from netsim.compress.error_feedback import ErrorFeedback
from netsim.compress.two_way import TwoWay
from netsim.compress.warm_up import WarmUp
from netsim.compress.ef21 import EF21
from netsim.compress.momentum_correction import MomentumCorrection
from netsim.compress.local_clipping import LocalClipping
from netsim.compress.cast import Cast
from netsim.compress.skip_small import SkipSmall
from netsim.compress.as_shipped import AsShipped
# isort: on

__all__ = [
    "DGC",
    "EF21",
    "QSGD",
    "THC",
    "AdaptiveThreshold",
    "AsShipped",
    "Bf16",
    "BlockTopK",
    "Cast",
    "Compressed",
    "CompressedAllReduce",
    "CountSketch",
    "Drive",
    "Eden",
    "ErrorFeedback",
    "Fp8",
    "Fp16",
    "GTopK",
    "Int8",
    "LloydMax",
    "LocalClipping",
    "Message",
    "MomentumCorrection",
    "Natural",
    "NaturalDithering",
    "NonFiniteGradient",
    "OkTopK",
    "OmniReduce",
    "OneBitColumns",
    "OneShot",
    "PacTrain",
    "Peer",
    "PowerSGD",
    "RandomK",
    "Reply",
    "RmsSign",
    "ScaledSign",
    "Scheme",
    "SignMajority",
    "SkipSmall",
    "SparCML",
    "TernGrad",
    "Threshold",
    "TopK",
    "TopKQuantized",
    "TwoWay",
    "Uncompressed",
    "VectorQuantizer",
    "WarmUp",
    "Wrapper",
    "Zen",
    "compress",
    "schemes",
]

make_callable(__name__, "netsim.compress.drive")
