# SPDX-License-Identifier: Apache-2.0
"""An executor at a worker that was taken over, and its mirror."""

import os
import subprocess
import sys
import time
import unittest

import tap
from stack import build_directory, wait_until
from worker_stack import WorkerStack

SILENCE_MS = 3000
THIEF = build_directory() / 'tests' / 'worker' / 'libthief.so'

# It has a context, and waits to be told before it copies.
PROGRAM = """
import ctypes
cuda = ctypes.CDLL('libcuda.so.1')
context, memory, back = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.create_string_buffer(4)
results = [cuda.cuInit(0), cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0), cuda.cuCtxSetCurrent(context),
           cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(4))]
print('ready', results, flush=True)
input()
results = [cuda.cuMemcpyHtoD_v2(memory, b'abcd', ctypes.c_size_t(4)),
           cuda.cuMemcpyDtoH_v2(back, memory, ctypes.c_size_t(4))]
"""


class Hostile(unittest.TestCase):
    @unittest.skipIf('VGPU_SANITIZED' in os.environ, 'a library is preloaded, and a sanitizer has to be the first one')
    def test_descriptors_that_wait(self):
        """The mirror goes on: it hears its relay, and its relay hears it."""
        with WorkerStack(silence_ms=SILENCE_MS, worker_environment={'LD_PRELOAD': str(THIEF)}) as stack:
            begins, ended = stack.directory / 'begins', stack.directory / 'ended'
            stack.worker.stop()
            stack.worker.environment.update(VGPU_THIEF_BEGINS=str(begins), VGPU_THIEF_ENDED=str(ended))
            stack.worker.start()
            program = stack.mediator.spawn(sys.executable, '-c', PROGRAM, stdin=subprocess.PIPE)
            self.assertEqual(program.stdout.readline(), 'ready [0, 0, 0, 0]\n')
            begins.touch()
            wait_until(ended.exists, 'the executor has done its worst')
            # The executor hears nothing any more, and its mirror rings.
            program.stdin.write('go on\n')
            program.stdin.flush()
            # Longer than the relay waits for a mirror that says nothing.
            time.sleep(2 * SILENCE_MS / 1000)
            self.assertNotIn('silent', stack.mediator.text())
            self.assertEqual(len(stack.worker.channels()), 1)
            program.kill()
            program.communicate()
            wait_until(lambda: not stack.worker.children(), 'the mirror ends with its program, and the executor with it')


if __name__ == '__main__':
    tap.main()
