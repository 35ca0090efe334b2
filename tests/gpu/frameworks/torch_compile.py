# SPDX-License-Identifier: Apache-2.0
"""torch.compile, with Triton's kernels and with CUDA graphs (reduce-overhead)."""

import torch
from torch import nn

from report import digest, timed

torch.manual_seed(1)
model = nn.Sequential(nn.Linear(256, 512), nn.GELU(), nn.LayerNorm(512), nn.Linear(512, 64)).cuda()
x = torch.randn(128, 256, device='cuda')
with torch.no_grad():
    expected = model(x)
    for mode in ('default', 'reduce-overhead'):
        compiled = torch.compile(model, mode=mode)
        out = timed(f'compile_{mode}', lambda compiled=compiled: compiled(x).clone())
        for _ in range(5):
            out = compiled(x).clone()
        assert torch.allclose(out, expected, atol=1e-3), (out - expected).abs().max()
        digest(f'compiled_{mode}', out.cpu().numpy())
        torch.cuda.synchronize()
        timed(f'compiled_{mode}_200', lambda compiled=compiled: ([compiled(x) for _ in range(200)],
                                                                  torch.cuda.synchronize()), 5)
print('ok compile')
