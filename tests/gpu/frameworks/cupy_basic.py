# SPDX-License-Identifier: Apache-2.0
"""CuPy: arrays, a RawKernel, a matrix product, checked against NumPy."""

import cupy
import numpy

x = numpy.arange(100000, dtype=numpy.float32)
assert numpy.array_equal((cupy.asarray(x) * 2 + 1).get(), x * 2 + 1)
kernel = cupy.RawKernel('extern "C" __global__ void twice(float *x, int n) '
                        '{ int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) x[i] *= 2; }', 'twice')
y = cupy.asarray(x)
kernel((len(x) // 256 + 1,), (256,), (y, numpy.int32(len(x))))
assert numpy.array_equal(y.get(), x * 2)
m = cupy.random.rand(256, 256, dtype=cupy.float32)
assert numpy.allclose((m @ m).get(), m.get() @ m.get(), rtol=1e-3)
print('cupy: all right')
