# SPDX-License-Identifier: Apache-2.0
"""Managed memory where the program and its GPU share none: at a worker."""

import ctypes
import os
import platform
import re
import signal
import subprocess
import unittest

import tap
from stack import wait_until
from worker_stack import END_TO_END, WorkerStack


def faults_can_be_caught():
    """By userfaultfd(2), if of user mode alone."""
    number = {'x86_64': 323, 'aarch64': 282}.get(platform.machine())
    user_mode_only = 1
    file = ctypes.CDLL(None).syscall(number, os.O_CLOEXEC | user_mode_only) if number else -1
    if file >= 0:
        os.close(file)
    return file >= 0


@unittest.skipUnless((END_TO_END / 'managed_memory').exists(), 'cmocka is not installed')
@unittest.skipUnless(faults_can_be_caught(), 'userfaultfd is denied')
class Managed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = WorkerStack(driver='/nonexistent/libcuda.so.1')
        cls.stack.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.stack.__exit__()

    def passes(self, *command, **environment):
        done = self.stack.mediator.run(*command, **environment)
        self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{self.stack.mediator.text()[-3000:]}\n'
                         f'{self.stack.worker.text()[-3000:]}')
        return done.stdout

    def test_memory(self):
        self.passes(END_TO_END / 'managed_memory')

    def test_mirrored(self):
        self.passes(END_TO_END / 'managed_mirrored')

    @unittest.skipUnless(os.geteuid() == 0, 'needs root, to become another user')
    def test_unprivileged(self):
        self.passes(END_TO_END / 'managed_mirrored', 'unprivileged')

    def test_sparse(self):
        """Of 64 MiB only the blocks around three words cross."""
        program = self.stack.mediator.spawn(END_TO_END / 'managed_mirrored', 'sparse')
        output, _ = program.communicate(timeout=60)
        self.assertEqual(program.returncode, 0, output)
        up, down = map(int, wait_until(
            lambda: re.findall(rf'client={program.pid}: .* (\d+) bytes to the device, (\d+) bytes from',
                               self.stack.mediator.text()), 'the channel reports its counters')[0])
        block = 64 << 10
        self.assertTrue(2 * block <= up < 3 * block, up)
        self.assertTrue(3 * block <= down < 4 * block, down)

    def test_lost(self):
        """What cannot be brought any more is not taken for zeros."""
        with WorkerStack(driver='/nonexistent/libcuda.so.1') as stack:
            program = stack.mediator.spawn(END_TO_END / 'managed_mirrored', 'lost', stdin=subprocess.PIPE)
            self.assertEqual(program.stdout.readline(), 'ready\n')
            stack.worker.stop(signal.SIGKILL)
            output, _ = program.communicate(timeout=60)
            self.assertEqual(program.returncode, -signal.SIGSEGV, output)
            self.assertRegex(output, 'managed memory at 0x[0-9a-f]+ cannot be read any more')


if __name__ == '__main__':
    tap.main()
