# SPDX-License-Identifier: Apache-2.0
"""PyTorch: copies, element-wise, matrix product, streams and events, checked against the CPU."""

import time

started = time.monotonic()
import torch  # noqa: E402  (its import is timed)

imported = time.monotonic()
a = torch.arange(1 << 20, dtype=torch.float32).reshape(1024, 1024) / (1 << 20)
device = a.cuda()
torch.cuda.synchronize()
first = time.monotonic()
assert torch.equal(device.cpu(), a)
assert torch.equal((device + device).cpu(), a + a)
product = device @ device
assert torch.allclose(product.cpu(), a @ a, rtol=1e-3), (product.cpu() - a @ a).abs().max()
stream, event = torch.cuda.Stream(), torch.cuda.Event(enable_timing=True)
end = torch.cuda.Event(enable_timing=True)
with torch.cuda.stream(stream):
    event.record()
    for _ in range(100):
        product = product * 0.999
    end.record()
end.synchronize()
milliseconds = event.elapsed_time(end)
assert 0 < milliseconds < 1000, milliseconds
try:
    torch.empty(1 << 50, device='cuda')
    raise AssertionError('an absurd allocation succeeded')
except torch.OutOfMemoryError:
    pass
print(f'import {imported - started:.2f} s, first use {first - imported:.2f} s, 100 multiplications {milliseconds:.3f} ms')
