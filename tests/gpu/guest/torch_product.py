# SPDX-License-Identifier: Apache-2.0
"""PyTorch in a guest: matrix products, streams and events, a copy back; what they give is as natively."""

import torch

from report import digest, timed

torch.backends.cuda.matmul.allow_tf32 = False


def matrix(rows, columns, dtype):
    """No random numbers: the guest's processor has other vector instructions than the host's."""
    values = torch.arange(rows * columns, dtype=torch.float32).remainder(251).div(251).reshape(rows, columns)
    return values.to(dtype)


def main():
    device = timed('first_use', lambda: torch.zeros(1, device='cuda')).device
    print('#', torch.cuda.get_device_name(device), torch.cuda.get_device_properties(device).total_memory)
    for dtype in torch.float32, torch.bfloat16, torch.float64:
        a, b = matrix(512, 384, dtype).cuda(), matrix(384, 256, dtype).cuda()
        product = timed(f'product_{dtype}', lambda a=a, b=b: (a @ b).cpu())
        assert torch.allclose(product.double(), a.cpu().double() @ b.cpu().double(), rtol=2e-2)
        digest(f'product_{dtype}', product.float().numpy())
    stream = torch.cuda.Stream()
    done = torch.cuda.Event()
    with torch.cuda.stream(stream):
        total = matrix(1000, 1000, torch.float64).to('cuda', non_blocking=True).sum()
        done.record()
    done.synchronize()
    digest('sum', total.cpu().numpy())
    pinned = torch.empty(1 << 20, dtype=torch.float32, pin_memory=True)
    pinned.copy_(torch.arange(1 << 20, dtype=torch.float32, device='cuda'), non_blocking=True)
    torch.cuda.synchronize()
    assert torch.equal(pinned, torch.arange(1 << 20, dtype=torch.float32))


main()
