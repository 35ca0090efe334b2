# SPDX-License-Identifier: Apache-2.0
"""PyTorch: copies, streams, events, CUDA graphs, attention, linear algebra, FFT, out of memory, memory reports."""

import os
import time

os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
started = time.monotonic()
import torch  # noqa: E402  (its import is timed)

from report import digest, result, timed  # noqa: E402

print(f'time import {time.monotonic() - started:.3f}')


def bits(name, tensor):
    digest(name, tensor.detach().contiguous().cpu().view(torch.uint8).numpy())


def first_use():
    torch.zeros(1, device='cuda')
    torch.cuda.synchronize()


def properties():
    p = torch.cuda.get_device_properties(0)
    result('device', f'{p.name}/{p.major}.{p.minor}/{p.multi_processor_count}/{p.total_memory}'.replace(' ', '_'))
    result('count', torch.cuda.device_count())
    assert 'GPU memory' in torch.cuda.memory_summary() or 'Allocated memory' in torch.cuda.memory_summary()
    free, total = torch.cuda.mem_get_info()
    assert 0 < free <= total, (free, total)


def elementwise():
    a = torch.arange(1 << 20, dtype=torch.float32).reshape(1024, 1024) / (1 << 20)
    device = a.cuda()
    assert torch.equal(device.cpu(), a)
    assert torch.equal((device + device).cpu(), a + a)
    bits('gelu', torch.nn.functional.gelu(device))
    bits('softmax', torch.softmax(device, dim=1))
    bits('sort', torch.sort(torch.sin(device.flatten() * 1e4)).values)
    bits('cumsum', torch.cumsum(device, dim=1))
    bits('index', device[torch.arange(1023, -1, -1, device='cuda')][:, ::3])
    torch.manual_seed(1)
    bits('random', torch.randn(10000, device='cuda'))


def products():
    torch.manual_seed(2)
    for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        a = torch.randn(512, 768, dtype=torch.float64).to('cuda', dtype)
        b = torch.randn(768, 640, dtype=torch.float64).to('cuda', dtype)
        product = a @ b
        tolerance = {torch.float32: 1e-3, torch.float64: 1e-9}.get(dtype, 2e-2)
        expected = a.cpu().double() @ b.cpu().double()
        assert torch.allclose(product.cpu().double(), expected, rtol=tolerance, atol=tolerance * 30), dtype
        bits(f'matmul_{dtype}'.replace('torch.', ''), product)


def streams():
    stream, event = torch.cuda.Stream(), torch.cuda.Event(enable_timing=True)
    end = torch.cuda.Event(enable_timing=True)
    product = torch.full((1024, 1024), 2.0, device='cuda')
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        event.record()
        for _ in range(100):
            product = product * 0.999
        end.record()
    end.synchronize()
    assert 0 < event.elapsed_time(end) < 1000
    torch.cuda.current_stream().wait_stream(stream)
    bits('streams', product)


def pinned():
    host = torch.empty(1 << 22, dtype=torch.float32, pin_memory=True)
    host.copy_(torch.arange(1 << 22, dtype=torch.float32))
    assert host.is_pinned()
    device = host.to('cuda', non_blocking=True) * 3
    back = torch.empty_like(host, pin_memory=True)
    back.copy_(device, non_blocking=True)
    torch.cuda.synchronize()
    assert torch.equal(back, host * 3)


def attention():
    torch.manual_seed(3)
    q, k, v = (torch.randn(2, 8, 256, 64, device='cuda', dtype=torch.bfloat16) for _ in range(3))
    from torch.nn.attention import SDPBackend, sdpa_kernel
    expected = torch.softmax(q.float() @ k.float().transpose(-1, -2) / 8, dim=-1) @ v.float()
    for backend in (SDPBackend.MATH, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION):
        with sdpa_kernel(backend):
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        assert torch.allclose(out.float(), expected, atol=3e-2), backend
        bits(f'attention_{backend.name}', out)


def linear_algebra():
    torch.manual_seed(4)
    a = torch.randn(128, 128, dtype=torch.float64, device='cuda')
    spd = a @ a.T + 128 * torch.eye(128, device='cuda', dtype=torch.float64)
    assert torch.allclose(torch.linalg.inv(spd) @ spd, torch.eye(128, device='cuda', dtype=torch.float64), atol=1e-8)
    lower = torch.linalg.cholesky(spd)
    assert torch.allclose(lower @ lower.T, spd, atol=1e-8)
    u, s, vh = torch.linalg.svd(a)
    assert torch.allclose(u @ torch.diag(s) @ vh, a, atol=1e-8)
    assert torch.allclose(torch.linalg.solve(spd, a), torch.linalg.inv(spd) @ a, atol=1e-8)
    values, vectors = torch.linalg.eigh(spd)
    assert torch.allclose(vectors @ torch.diag(values) @ vectors.T, spd, atol=1e-8)
    sparse = torch.eye(64, device='cuda').to_sparse_csr()
    assert torch.equal(sparse @ torch.ones(64, 8, device='cuda'), torch.ones(64, 8, device='cuda'))


def fourier():
    torch.manual_seed(5)
    x = torch.randn(16, 4096, device='cuda')
    spectrum = torch.fft.rfft(x)
    assert torch.allclose(torch.fft.irfft(spectrum), x, atol=1e-4)
    bits('fft', spectrum)
    y = torch.randn(64, 60, 48, device='cuda', dtype=torch.complex64)
    assert torch.allclose(torch.fft.ifftn(torch.fft.fftn(y)), y, atol=1e-4)


def graphs():
    torch.manual_seed(6)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8)).cuda()
    static = torch.zeros(32, 64, device='cuda')
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side), torch.no_grad():
        for _ in range(3):
            model(static)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), torch.no_grad():
        out = model(static)
    for _ in range(5):
        x = torch.randn(32, 64, device='cuda')
        static.copy_(x)
        graph.replay()
        with torch.no_grad():
            assert torch.allclose(out, model(x), atol=1e-5)
    bits('graph', out)
    timed('graph_replay_1000', lambda: ([graph.replay() for _ in range(1000)], torch.cuda.synchronize()), 5)


def out_of_memory():
    try:
        torch.empty(1 << 50, device='cuda')
        raise AssertionError('an absurd allocation succeeded')
    except torch.OutOfMemoryError:
        pass
    held = []
    torch.cuda.set_per_process_memory_fraction(0.05)
    try:
        while True:
            held.append(torch.empty(1 << 29, dtype=torch.uint8, device='cuda'))
    except torch.OutOfMemoryError:
        pass
    assert held
    held.clear()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.0)
    assert torch.ones(1 << 20, device='cuda').sum().item() == 1 << 20


timed('first_use', first_use)
failures = []
for part in (properties, elementwise, products, streams, pinned, attention, linear_algebra, fourier, graphs,
             out_of_memory):
    try:
        timed(part.__name__, part)
        print(f'ok {part.__name__}')
    except Exception as error:  # noqa: BLE001  (the others are to run too)
        failures.append(part.__name__)
        print(f'not ok {part.__name__}: {type(error).__name__}: {str(error)[:500]}')
        if 'CUDA error' in str(error):
            import traceback
            traceback.print_exc()
raise SystemExit(f'failed: {failures}' if failures else 0)
