# SPDX-License-Identifier: Apache-2.0
"""CuPy: arrays, RawKernel, linear algebra, FFT, random numbers, pinned pool, streams, graphs; against NumPy."""

import sys

try:
    import cupy
except ImportError:
    sys.exit(77)
import numpy

from report import digest, timed

x = numpy.arange(100000, dtype=numpy.float32)


def arrays():
    assert numpy.array_equal((cupy.asarray(x) * 2 + 1).get(), x * 2 + 1)
    digest('sorted', cupy.sort(cupy.sin(cupy.asarray(x))).get())
    digest('unique', cupy.unique(cupy.asarray(x) // 7).get())


def raw_kernel():
    kernel = cupy.RawKernel('extern "C" __global__ void twice(float *x, int n) '
                            '{ int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) x[i] *= 2; }', 'twice')
    y = cupy.asarray(x)
    kernel((len(x) // 256 + 1,), (256,), (y, numpy.int32(len(x))))
    assert numpy.array_equal(y.get(), x * 2)
    squares = cupy.ElementwiseKernel('float32 a', 'float32 b', 'b = a * a', 'squares')
    assert numpy.array_equal(squares(cupy.asarray(x)).get(), x * x)
    total = cupy.ReductionKernel('float64 a', 'float64 b', 'a', 'a + b', 'b = a', '0', 'total')
    assert total(cupy.asarray(x, dtype=cupy.float64)).get() == x.astype(numpy.float64).sum()


def linear_algebra():
    m = cupy.random.RandomState(1).rand(256, 256, dtype=cupy.float64)
    assert numpy.allclose((m @ m).get(), m.get() @ m.get())
    assert numpy.allclose(cupy.linalg.solve(m, m).get(), numpy.eye(256), atol=1e-6)
    u, s, v = cupy.linalg.svd(m)
    assert numpy.allclose((u * s @ v).get(), m.get(), atol=1e-8)
    digest('random', m.get())


def fourier():
    z = cupy.asarray(numpy.random.RandomState(2).rand(64, 1024))
    assert numpy.allclose(cupy.fft.ifft(cupy.fft.fft(z)).get().real, z.get())
    assert numpy.allclose(cupy.fft.fft2(z).get(), numpy.fft.fft2(z.get()))


def pinned_and_streams():
    pool = cupy.cuda.PinnedMemoryPool()
    cupy.cuda.set_pinned_memory_allocator(pool.malloc)
    memory = cupy.cuda.alloc_pinned_memory(x.nbytes)
    host = numpy.frombuffer(memory, numpy.float32, x.size)
    host[:] = x
    with cupy.cuda.Stream(non_blocking=True) as stream:
        y = cupy.empty(x.size, cupy.float32)
        y.set(host, stream=stream)
        y += 1
        out = y.get(stream=stream)
    stream.synchronize()
    assert numpy.array_equal(out, x + 1)


def managed():
    with cupy.cuda.using_allocator(cupy.cuda.MemoryPool(cupy.cuda.malloc_managed).malloc):
        y = cupy.arange(1000, dtype=cupy.int64)
        assert (y * 2).sum().get() == 999000


parts = [arrays, raw_kernel, linear_algebra, fourier, pinned_and_streams]
# Over a worker there is none, and the device says so.
if cupy.cuda.Device().attributes['ManagedMemory']:
    parts.append(managed)
failures = []
for part in parts:
    try:
        timed(part.__name__, part)
        print(f'ok {part.__name__}')
    except Exception as error:  # noqa: BLE001  (the others are to run too)
        failures.append(part.__name__)
        print(f'not ok {part.__name__}: {type(error).__name__}: {str(error)[:500]}')
sys.exit(f'failed: {failures}' if failures else 0)
