"""Distributed optimizers: what workers compute and exchange, and what becomes of it."""

from netsim.optim.asgd import ASGD
from netsim.optim.base import Asynchronous, Exchange, Optimizer, Synchronous, Task, optimizers
from netsim.optim.central_vr import CentralVR, CentralVRAsync, CentralVRSync
from netsim.optim.easgd import EASGD
from netsim.optim.local_sgd import LocalSGD
from netsim.optim.onebit import OneBitAdam, OneBitLAMB
from netsim.optim.pactrain import PacTrain
from netsim.optim.ps_svrg import PSSVRG
from netsim.optim.saga import DSAGA, SAGA
from netsim.optim.sgd import LAMB, SGD, Adam, Momentum
from netsim.optim.signum import Signum
from netsim.optim.svrg import DSVRG, SVRG
from netsim.optim.zero_one_adam import ZeroOneAdam

__all__ = [
    "ASGD",
    "DSAGA",
    "DSVRG",
    "EASGD",
    "LAMB",
    "PSSVRG",
    "SAGA",
    "SGD",
    "SVRG",
    "Adam",
    "Asynchronous",
    "CentralVR",
    "CentralVRAsync",
    "CentralVRSync",
    "Exchange",
    "LocalSGD",
    "Momentum",
    "OneBitAdam",
    "OneBitLAMB",
    "Optimizer",
    "PacTrain",
    "Signum",
    "Synchronous",
    "Task",
    "ZeroOneAdam",
    "optimizers",
]
