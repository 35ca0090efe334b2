# SPDX-License-Identifier: Apache-2.0
"""PyTorch in several processes: each computes; a tensor on the GPU is handed from one to another (CUDA IPC)."""

import torch
import torch.multiprocessing as processes

from report import result


def compute(number, queue):
    torch.manual_seed(number)
    x = torch.randn(256, 256, device='cuda')
    queue.put((number, (x @ x).sum().item()))


def receive(queue, answers):
    tensor = queue.get()
    answers.put(tensor.sum().item())
    tensor.fill_(5)
    torch.cuda.synchronize()
    answers.put('filled')
    queue.get()


if __name__ == '__main__':
    processes.set_start_method('spawn')
    queue = processes.Queue()
    workers = [processes.Process(target=compute, args=(i, queue)) for i in range(3)]
    for worker in workers:
        worker.start()
    for number, value in sorted(queue.get(timeout=90) for _ in workers):
        result(f'process_{number}', value)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    print('ok processes', flush=True)
    tensors, answers = processes.Queue(), processes.Queue()
    receiver = processes.Process(target=receive, args=(tensors, answers))
    receiver.start()
    shared = torch.full((1000,), 2.0, device='cuda')
    tensors.put(shared)
    assert answers.get(timeout=60) == 2000.0
    assert answers.get(timeout=60) == 'filled'
    assert shared.sum().item() == 5000.0
    tensors.put(None)
    receiver.join()
    print('ok shared tensor')
