# SPDX-License-Identifier: Apache-2.0
"""Managed memory where the program and its GPU share none: at a worker."""

import unittest

import tap
from worker_stack import END_TO_END, WorkerStack


@unittest.skipUnless((END_TO_END / 'managed_memory').exists(), 'cmocka is not installed')
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


if __name__ == '__main__':
    tap.main()
