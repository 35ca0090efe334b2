# SPDX-License-Identifier: Apache-2.0
"""Triton: an autotuned vector addition, a softmax and a matrix product with tensor cores."""

import sys

try:
    import torch
    import triton
    import triton.language as tl
except ImportError:
    sys.exit(77)

from report import digest


@triton.autotune(configs=[triton.Config({'BLOCK': b}, num_warps=w) for b in (256, 1024) for w in (4, 8)], key=['n'])
@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n) + tl.load(y + i, mask=i < n), mask=i < n)


@triton.jit
def softmax(x, out, width, BLOCK: tl.constexpr):
    row, i = tl.program_id(0), tl.arange(0, BLOCK)
    v = tl.load(x + row * width + i, mask=i < width, other=-float('inf'))
    e = tl.exp(v - tl.max(v, axis=0))
    tl.store(out + row * width + i, e / tl.sum(e, axis=0), mask=i < width)


@triton.jit
def product(a, b, c, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    j = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for k in range(0, n, BLOCK):
        kk = k + tl.arange(0, BLOCK)
        total += tl.dot(tl.load(a + i[:, None] * n + kk[None, :]), tl.load(b + kk[:, None] * n + j[None, :]))
    tl.store(c + i[:, None] * n + j[None, :], total)


torch.manual_seed(1)
x, y = torch.randn(1 << 20, device='cuda'), torch.randn(1 << 20, device='cuda')
out = torch.empty_like(x)
add[lambda meta: (triton.cdiv(x.numel(), meta['BLOCK']),)](x, y, out, x.numel())
assert torch.equal(out, x + y)
print('ok autotuned')
m = torch.randn(64, 1000, device='cuda')
s = torch.empty_like(m)
softmax[(64,)](m, s, 1000, BLOCK=1024)
assert torch.allclose(s, torch.softmax(m, dim=1), atol=1e-6)
digest('softmax', s.cpu().numpy())
a = torch.randn(256, 256, device='cuda', dtype=torch.float16)
c = torch.empty(256, 256, device='cuda')
product[(4, 4)](a, a, c, 256, BLOCK=64)
assert torch.allclose(c, a.float() @ a.float(), atol=0.5)
digest('product', c.cpu().numpy())
print('ok product')
