# SPDX-License-Identifier: Apache-2.0
"""CuPy in a guest: arrays, a kernel that NVRTC compiles in the guest, a product, against NumPy."""

import sys

try:
    import cupy
except ImportError:
    sys.exit(77)
import numpy

from report import digest, timed

x = numpy.arange(100000, dtype=numpy.float32)
y = timed('first_use', lambda: cupy.asarray(x) * 2 + 1)
assert numpy.array_equal(y.get(), x * 2 + 1)
twice = cupy.RawKernel('extern "C" __global__ void twice(float *x, int n) '
                       '{ int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) x[i] *= 2; }', 'twice')
timed('kernel', lambda: twice((len(x) // 256 + 1,), (256,), (y, numpy.int32(len(x)))))
assert numpy.array_equal(y.get(), (x * 2 + 1) * 2)
m = (cupy.arange(256 * 256) % 97).reshape(256, 256).astype(cupy.float64)
product = timed('product', lambda: (m @ m).get())
assert numpy.array_equal(product, m.get() @ m.get())
digest('product', product)
