# SPDX-License-Identifier: Apache-2.0
"""PyTorch with two GPUs: copies between them, streams that wait for one another, NCCL in one process and in two."""

import os
import socket
import sys

import torch
import torch.distributed
import torch.multiprocessing as processes

from report import digest, result, timed

COUNT = 2
WORDS = 1 << 20


def copies():
    a = torch.arange(WORDS, dtype=torch.float32, device='cuda:0')
    b = a.to('cuda:1', non_blocking=True) * 2
    c = b.to('cuda:0')
    assert torch.equal(c, a * 2)
    result('peer', torch.cuda.can_device_access_peer(0, 1))
    done = torch.cuda.Event()
    with torch.cuda.stream(torch.cuda.Stream('cuda:0')):
        a.add_(1)
        done.record()
    with torch.cuda.stream(torch.cuda.Stream('cuda:1')) as stream:
        torch.cuda.current_stream('cuda:1').wait_event(done)
        d = a.to('cuda:1', non_blocking=True)
    torch.cuda.synchronize('cuda:1')
    digest('copied', d.cpu().numpy())


def products():
    torch.manual_seed(1)
    x = torch.randn(512, 512)
    sums = [(x.to(f'cuda:{i}') @ x.to(f'cuda:{i}')).cpu() for i in range(COUNT)]
    assert torch.equal(sums[0], sums[1])
    model = torch.nn.DataParallel(torch.nn.Linear(512, 8).cuda(), device_ids=list(range(COUNT)))
    model(x.cuda()).sum().backward()
    assert model.module.weight.grad.abs().sum().item() > 0


def nccl_in_one_process():
    tensors = [torch.full((WORDS,), float(i + 1), device=f'cuda:{i}') for i in range(COUNT)]
    torch.cuda.nccl.all_reduce(tensors)
    for tensor in tensors:
        assert torch.equal(tensor.cpu(), torch.full((WORDS,), 3.0))


def rank_run(rank, port):
    torch.cuda.set_device(rank)
    torch.distributed.init_process_group('nccl', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=COUNT)
    tensor = torch.full((WORDS,), float(rank + 1), device='cuda')
    torch.distributed.all_reduce(tensor)
    assert torch.equal(tensor.cpu(), torch.full((WORDS,), 3.0))
    parts = [torch.empty(8, device='cuda') for _ in range(COUNT)]
    torch.distributed.all_gather(parts, torch.full((8,), float(rank), device='cuda'))
    assert [part[0].item() for part in parts] == [0.0, 1.0]
    if rank == 0:
        torch.distributed.send(tensor, 1)
    else:
        torch.distributed.recv(tensor, 0)
    timed(f'all_reduce_{rank}', lambda: (torch.distributed.all_reduce(tensor), torch.cuda.synchronize()), 20, 5)
    torch.distributed.destroy_process_group()


def nccl_in_two_processes():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    processes.spawn(rank_run, (port,), nprocs=COUNT)


if __name__ == '__main__':
    if torch.cuda.device_count() < COUNT:
        sys.exit(77)
    os.environ.setdefault('NCCL_NVLS_ENABLE', '0')
    failures = []
    for part in (copies, products, nccl_in_one_process, nccl_in_two_processes):
        try:
            timed(part.__name__, part)
            print(f'ok {part.__name__}', flush=True)
        except Exception as error:  # noqa: BLE001  (the others are to run too)
            failures.append(part.__name__)
            print(f'not ok {part.__name__}: {type(error).__name__}: {str(error)[-700:]}', flush=True)
    sys.exit(f'failed: {failures}' if failures else 0)
