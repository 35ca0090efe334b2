# SPDX-License-Identifier: Apache-2.0
"""JAX: jit, grad, random numbers, FFT, linear algebra, host callbacks, a training loop; pmap where there are GPUs."""

import os
import sys

os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
# Kernels that are chosen by timing them differ from run to run, and with them the last bits of results.
os.environ.setdefault('XLA_FLAGS', '--xla_gpu_autotune_level=0 --xla_gpu_deterministic_ops=true')
try:
    import jax
except ImportError:
    sys.exit(77)
import jax.numpy as jnp
import numpy

from report import digest, result, timed

assert jax.devices()[0].platform == 'gpu', jax.devices()


def compiled():
    f = jax.jit(lambda x: jnp.sin(x) @ jnp.cos(x).T + 1)
    x = jax.random.normal(jax.random.PRNGKey(0), (256, 128))
    expected = numpy.sin(numpy.asarray(x)) @ numpy.cos(numpy.asarray(x)).T + 1
    assert numpy.allclose(f(x), expected, atol=1e-1)
    digest('jit', numpy.asarray(f(x)))


def gradient():
    def loss(w, x, y):
        return jnp.mean((jnp.tanh(x @ w[0]) @ w[1] - y) ** 2)
    k = jax.random.split(jax.random.PRNGKey(1), 4)
    w = (jax.random.normal(k[0], (16, 64)) * 0.1, jax.random.normal(k[1], (64, 1)) * 0.1)
    x, y = jax.random.normal(k[2], (512, 16)), jax.random.normal(k[3], (512, 1))
    step = jax.jit(lambda w: jax.tree.map(lambda p, g: p - 0.1 * g, w, jax.grad(loss)(w, x, y)))
    first = float(loss(w, x, y))
    for _ in range(50):
        w = step(w)
    last = float(loss(w, x, y))
    assert last < first
    result('loss', last)


def libraries():
    x = jax.random.normal(jax.random.PRNGKey(2), (64, 64))
    assert numpy.allclose(jnp.fft.ifft(jnp.fft.fft(x)).real, x, atol=1e-4)
    spd = x @ x.T + 64 * jnp.eye(64)
    lower = jnp.linalg.cholesky(spd)
    assert numpy.allclose(lower @ lower.T, spd, atol=1e-1)
    digest('sort', numpy.asarray(jnp.sort(x.ravel())))


def callback():
    seen = []
    y = jax.jit(lambda x: jax.pure_callback(lambda v: (seen.append(1), numpy.asarray(v) * 2)[1],
                                            jax.ShapeDtypeStruct((8,), jnp.float32), x) + 1)(jnp.arange(8.0))
    assert numpy.array_equal(y, numpy.arange(8.0) * 2 + 1) and seen


def several_devices():
    n = jax.device_count()
    y = jax.pmap(lambda x: jax.lax.psum(x, 'i'), 'i')(jnp.arange(float(n)))
    assert numpy.array_equal(y, [sum(range(n))] * n)
    result('devices', n)


failures = []
for part in (compiled, gradient, libraries, callback, several_devices):
    try:
        timed(part.__name__, part)
        print(f'ok {part.__name__}')
    except Exception as error:  # noqa: BLE001  (the others are to run too)
        failures.append(part.__name__)
        print(f'not ok {part.__name__}: {type(error).__name__}: {str(error)[:500]}')
sys.exit(f'failed: {failures}' if failures else 0)
