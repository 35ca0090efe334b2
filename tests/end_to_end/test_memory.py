# SPDX-License-Identifier: Apache-2.0
"""Kinds of memory through the whole path over the local transport, on the software GPU."""

import os
import signal
import subprocess
import unittest

import tap
from stack import PATIENCE, Mediator, build_directory, wait_until

PROGRAMS = build_directory() / 'tests' / 'end_to_end'


class Memory(unittest.TestCase):
    def passes(self, program, *options, arguments=(), **environment):
        with Mediator(*options, environment=environment) as mediator:
            done = mediator.run(PROGRAMS / program, *arguments, CMOCKA_MESSAGE_OUTPUT='TAP')
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{mediator.text()[-4000:]}')
            mediator.wait_for_rest()

    def test_virtual(self):
        self.passes('virtual_memory')

    def test_managed(self):
        self.passes('managed_memory')

    def test_managed_variables(self):
        self.passes('managed_variables')

    def test_registered(self):
        self.passes('registered_memory')

    def test_registered_among_threads(self):
        self.passes('registered_threads')

    def test_registered_on_stacks(self):
        self.passes('registered_stack')

    def test_registered_is_charged(self):
        self.passes('registered_memory', '--tenant', 'default pinned-mib=4', arguments=['quota'])

    def test_registered_under_a_debugger(self):
        self.passes('registered_denied', arguments=['traced'])

    def test_registered_where_moves_are_denied(self):
        self.passes('registered_denied')

    def test_registered_outlives_the_executor(self):
        with Mediator() as mediator:
            mediator.wait_for_rest()
            program = mediator.spawn(PROGRAMS / 'registered_memory', 'loss', stdin=subprocess.PIPE)
            try:
                for line in program.stdout:
                    if 'registered' in line:
                        break
                for executor in mediator.executors():
                    os.kill(executor, signal.SIGKILL)
                wait_until(lambda: not mediator.executors(), 'the executor is gone')
                output, _ = program.communicate('go on\n', timeout=PATIENCE)
                self.assertEqual(program.returncode, 0, output)
            finally:
                program.kill()

    def test_pools_and_peers(self):
        self.passes('pool_peer')

    def test_pools(self):
        self.passes('pool_quota')

    def test_quota_of_pools(self):
        self.passes('pool_quota', '--tenant', 'default memory-mib=64', arguments=['quota'])

    def test_batches(self):
        self.passes('batches')

    def test_planar_arrays(self):
        self.passes('planar_arrays')

    def test_compressed_arrays(self):
        self.passes('compressed_arrays')

    def test_contexts_and_modules_are_charged(self):
        self.passes('overhead', '--tenant', 'default memory-mib=64', SOFTGPU_CONTEXT_BYTES=str(8 << 20))


if __name__ == '__main__':
    tap.main()
