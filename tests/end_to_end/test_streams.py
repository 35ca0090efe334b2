# SPDX-License-Identifier: Apache-2.0
"""What streams do beside kernels and copies, and what is made for kernels, through the whole path over the local transport, on the software GPU."""

import tempfile
import unittest

import tap
from stack import Mediator, build_directory

PROGRAMS = build_directory() / 'tests' / 'end_to_end'


class Streams(unittest.TestCase):
    def passes(self, *command, options=()):
        with Mediator(*options) as mediator:
            done = mediator.run(PROGRAMS / command[0], *command[1:], CMOCKA_MESSAGE_OUTPUT='TAP')
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{mediator.text()[-4000:]}')
            mediator.wait_for_rest()

    def test_host_functions(self):
        self.passes('host_functions')

    def test_values(self):
        self.passes('stream_values')

    def test_linker(self):
        self.passes('linker')

    def test_tensor_maps(self):
        self.passes('tensor_maps')

    def test_exit_with_host_functions_to_come(self):
        self.passes('host_functions', 'exit')

    def test_long_host_functions_are_no_long_kernels(self):
        with tempfile.NamedTemporaryFile('w', suffix='.conf') as settings:
            settings.write('tenant = program:host_functions kernel-ms=500\n')
            settings.flush()
            self.passes('host_functions', 'long', options=('--config', settings.name))


if __name__ == '__main__':
    tap.main()
