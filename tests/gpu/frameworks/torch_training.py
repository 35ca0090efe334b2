# SPDX-License-Identifier: Apache-2.0
"""PyTorch: training steps of a convolutional net and of a transformer, in fp32 and bf16, with Adam and autocast,
fed by a DataLoader with pinned memory; each loss must be the native one, bit by bit."""

import os
import statistics
import time

os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
import torch
from torch import nn

from report import result

torch.use_deterministic_algorithms(True)
torch.backends.cudnn.benchmark = False


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(128 * 64, 10))

    def forward(self, x):
        return self.body(x)


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3 * 32, 256)
        layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 4)
        self.head = nn.Linear(256, 10)

    def forward(self, x):
        rows = x.permute(0, 2, 1, 3).flatten(2)
        return self.head(self.encoder(self.embed(rows)).mean(dim=1))


class Samples(torch.utils.data.Dataset):
    def __init__(self, count):
        generator = torch.Generator().manual_seed(7)
        self.x = torch.randn(count, 3, 32, 32, generator=generator)
        self.y = torch.randint(0, 10, (count,), generator=generator)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


def train(name, model, bfloat):
    torch.manual_seed(8)
    model = model().cuda()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = torch.utils.data.DataLoader(Samples(64 * 30), batch_size=64, pin_memory=True, num_workers=2)
    losses, times = [], []
    for x, y in loader:
        started = time.monotonic()
        x, y = x.cuda(non_blocking=True), y.cuda(non_blocking=True)
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast('cuda', torch.bfloat16, enabled=bfloat):
            loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        times.append(time.monotonic() - started)
    assert losses[-1] < losses[0] * 1.5
    for step in (0, 1, 5, 29):
        result(f'{name}_loss_{step}', losses[step])
    print(f'time {name}_step {statistics.median(times[5:]):.6f}')
    print(f'late {name}_step {max(times[5:]):.6f}')


if __name__ == '__main__':
    for name, model in (('cnn', Convolutional), ('transformer', Transformer)):
        for bfloat in (False, True):
            train(f'{name}_{"bf16" if bfloat else "fp32"}', model, bfloat)
