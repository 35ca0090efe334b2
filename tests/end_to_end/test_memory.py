# SPDX-License-Identifier: Apache-2.0
"""Kinds of memory through the whole path over the local transport, on the software GPU."""

import unittest

import tap
from stack import Mediator, build_directory

PROGRAMS = build_directory() / 'tests' / 'end_to_end'


class Memory(unittest.TestCase):
    def passes(self, program, *options, **environment):
        with Mediator(*options, environment=environment) as mediator:
            done = mediator.run(PROGRAMS / program, CMOCKA_MESSAGE_OUTPUT='TAP')
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{mediator.text()[-4000:]}')
            mediator.wait_for_rest()

    def test_virtual(self):
        self.passes('virtual_memory')

    def test_managed(self):
        self.passes('managed_memory')

    def test_pools_and_peers(self):
        self.passes('pool_peer')

    def test_batches(self):
        self.passes('batches')

    def test_planar_arrays(self):
        self.passes('planar_arrays')

    def test_contexts_and_modules_are_charged(self):
        self.passes('overhead', '--tenant', 'default memory-mib=64', SOFTGPU_CONTEXT_BYTES=str(8 << 20))


if __name__ == '__main__':
    tap.main()
