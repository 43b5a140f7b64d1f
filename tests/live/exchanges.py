"""Run as one rank of torch.distributed: times a ring all-reduce and a parameter server's push and pull, really."""

from __future__ import annotations

import csv
import os
import sys
import time

import torch
from torch import distributed


def ring(tensor):
    """Sum a tensor over all ranks by Gloo's all-reduce."""
    distributed.all_reduce(tensor)


def parameter_server(tensor):
    """Push to rank 0, which is a worker too, add there, and pull."""
    others = range(1, distributed.get_world_size())
    if distributed.get_rank():
        distributed.send(tensor, 0)
        distributed.recv(tensor, 0)
        return
    pushed = [torch.empty_like(tensor) for _ in others]
    for request in [distributed.irecv(one, rank) for one, rank in zip(pushed, others, strict=True)]:
        request.wait()
    for one in pushed:
        tensor += one
    for request in [distributed.isend(tensor, rank) for rank in others]:
        request.wait()


EXCHANGES = {exchange.__name__: exchange for exchange in (ring, parameter_server)}


def slowest_s(exchange, tensor, repeats):
    """Return [repeats] seconds of the slowest rank, from a barrier on, after one that does not count."""
    taken_s = []
    for _ in range(repeats + 1):
        tensor.fill_(1.0)
        distributed.barrier()
        start_s = time.perf_counter()
        exchange(tensor)
        taken_s.append(time.perf_counter() - start_s)
        assert tensor[0] == tensor[-1] == distributed.get_world_size()
    slowest = torch.tensor(taken_s[1:], dtype=torch.float64)
    distributed.all_reduce(slowest, distributed.ReduceOp.MAX)
    return slowest.tolist()


def main(asked):
    """Print a row for each exchange:bytes:repeats: its name, the bytes, and the seconds of every repeat."""
    torch.set_num_threads(1)
    # Threads that are about to start inherit it: else small messages would measure what else the machine does.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    distributed.init_process_group("gloo")
    rows = csv.writer(sys.stdout)
    for name, size_bytes, repeats in (one.split(":") for one in asked):
        taken_s = slowest_s(EXCHANGES[name], torch.empty(int(size_bytes) // 4), int(repeats))
        if distributed.get_rank() == 0:
            rows.writerow([name, size_bytes, *taken_s])
    distributed.barrier()
    sys.stdout.flush()
    os._exit(0)  # the others may be gone before this one has closed its connections


if __name__ == "__main__":
    main(sys.argv[1:])
