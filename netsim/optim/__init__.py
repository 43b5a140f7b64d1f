"""Distributed optimizers: what workers compute and exchange, and what becomes of it."""

from netsim.optim.asgd import ASGD
from netsim.optim.base import Asynchronous, Exchange, Optimizer, Synchronous, Task, optimizers
from netsim.optim.central_vr import CentralVR, CentralVRAsync, CentralVRSync
from netsim.optim.easgd import EASGD
from netsim.optim.ps_svrg import PSSVRG
from netsim.optim.saga import DSAGA, SAGA
from netsim.optim.sgd import LAMB, SGD, Adam, Momentum
from netsim.optim.svrg import DSVRG, SVRG

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
    "Momentum",
    "Optimizer",
    "Synchronous",
    "Task",
    "optimizers",
]
