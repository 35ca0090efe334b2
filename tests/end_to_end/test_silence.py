# SPDX-License-Identifier: Apache-2.0
"""Whose fault executors are that are stuck in the kernel."""

import signal
import tempfile
import unittest
from pathlib import Path

import tap
from stack import build_directory, executor_without_sandbox, wait_until
from test_schedule import PATIENCE_FACTOR, Tenants

DRIVER = build_directory() / 'tests' / 'end_to_end' / 'libslow_driver.so'
WHAT = 'executors of several tenants were stuck in its driver'


def is_stuck(pid):
    try:
        return 'State:\tD' in Path(f'/proc/{pid}/status').read_text()
    except OSError:
        return False


class Stuck(unittest.TestCase):
    """In a call of the driver that no signal ends; the sandbox would not let the test's driver sleep so."""

    def end_all(self, names):
        """Their programs, which are stuck at once; the mediator, while it is there."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        configuration = Path(folder.name) / 'mediator.conf'
        configuration.write_text('executor-stuck = 0\n')
        tenants = Tenants('--executor', str(executor_without_sandbox(folder.name)), '--config', str(configuration),
                          '--quarantine-faults', '1', '--quarantine-local', 'yes', driver=DRIVER,
                          environment={'VGPU_EXECUTOR_STUCK': '1'})
        tenants.__enter__()
        self.addCleanup(tenants.__exit__)
        programs = [tenants.spawn(name, 'memory') for name in names]
        wait_until(lambda: sum(is_stuck(pid) for pid in tenants.mediator.executors()) == len(names), 'all sleep')
        configuration.write_text('executor-stuck = 2\n')
        tenants.mediator.process.send_signal(signal.SIGHUP)
        for program in programs:
            self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', program.communicate(timeout=60 * PATIENCE_FACTOR)[0])
        wait_until(lambda: not tenants.mediator.executors(), 'they are gone')
        return tenants.mediator

    def test_alone(self):
        mediator = self.end_all(['one'])
        mediator.wait_for_line('program=one: quarantined')
        self.assertEqual(mediator.admin('scan-gpus')[0]['fault'], '')

    def test_several_of_one_tenant(self):
        mediator = self.end_all(['one', 'one'])
        mediator.wait_for_line('program=one: quarantined')
        self.assertEqual(mediator.admin('scan-gpus')[0]['fault'], '')

    def test_several_tenants(self):
        """With one GPU: its driver's fault, which operators are told, and not the tenants'."""
        mediator = self.end_all(['one', 'two'])
        self.assertEqual(mediator.text().count(f'GPU 0: {WHAT}'), 1)
        self.assertNotIn('quarantined', mediator.text())
        gpus, = (check for check in mediator.admin('show-health', code=7) if check['check'] == 'gpus')
        self.assertEqual((gpus['good'], gpus['text']), (False, f'GPU 0: {WHAT}'))
        self.assertEqual(mediator.admin('scan-gpus')[0]['fault'], WHAT)
        mediator.admin('clear-gpu', '0')
        self.assertEqual(mediator.admin('scan-gpus')[0]['fault'], '')
        mediator.admin('clear-gpu', '0', code=6)


if __name__ == '__main__':
    tap.main()
