#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long a training step of PyTorch takes: the models of tests/gpu/frameworks/torch_training.py, batches that wait in
pinned memory, the loss read at each step. Prints "time NAME SECONDS" (the median) and "late NAME SECONDS" (the 99th
percentile) of STEPS steps.

usage: torch_steps.py [STEPS]
"""

import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'tests' / 'gpu' / 'frameworks'))
import torch
from torch import nn

from torch_training import Convolutional, Transformer

WARM_UP = 20


def steps_time(name, model, bfloat, steps):
    torch.manual_seed(8)
    model = model().cuda()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = [(torch.randn(64, 3, 32, 32).pin_memory(), torch.randint(0, 10, (64,)).pin_memory()) for _ in range(8)]
    times = []
    for step in range(WARM_UP + steps):
        started = time.monotonic()
        x, y = (part.cuda(non_blocking=True) for part in batches[step % len(batches)])
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast('cuda', torch.bfloat16, enabled=bfloat):
            loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        loss.item()
        times.append(time.monotonic() - started)
    times = sorted(times[WARM_UP:])
    print(f'time {name} {statistics.median(times):.6f}')
    print(f'late {name} {times[len(times) * 99 // 100]:.6f}')


def main():
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    for name, model in ('cnn', Convolutional), ('transformer', Transformer):
        for kind in 'fp32', 'bf16':
            steps_time(f'{name}_{kind}_step', model, kind == 'bf16', steps)


if __name__ == '__main__':
    main()
