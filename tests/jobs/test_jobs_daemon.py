# SPDX-License-Identifier: Apache-2.0
"""vgpu-jobs itself: its options, and what it says where something is not there."""

import socket
import subprocess
import tempfile
import unittest

import tap
from job_stack import ADD, BUILD, Daemon
from stack import Mediator, wait_until


class JobsDaemon(unittest.TestCase):
    def test_no_mediator(self):
        with tempfile.TemporaryDirectory(prefix='vgpu-jobs-') as folder:
            nobody = Mediator(directory=folder)
            with Daemon(nobody, ports=('one:7',)) as jobs:
                self.assertIn('no mediator', jobs.ports[0].call(ADD)['error'])

    def test_options(self):
        for option in ('--serial=one:x=/nonexistent', '--serial=one:0=/nonexistent', '--vm=127.0.0.1', '--vm=vsock:3=0',
                       '--vm=vsock:3=x', '--serial=one', '--serial=one=' + 'x' * 200, '--listen=foo', '--listen=unix:',
                       '--listen=unix:/' + 'x' * 200, '--listen=vsock:x', '--listen=127.0.0.1', '--listen=127.0.0.1:0',
                       '--listen=127.0.0.1:99999', '--mediator=/' + 'x' * 200, '--job-timeout=0', '--job-timeout=soon',
                       '--idle-timeout=-1', '--clients-max=0', '--clients-max=many', '--clients-per-vm='):
            done = subprocess.run([BUILD / 'host/jobs/vgpu-jobs', option], capture_output=True, text=True, timeout=60,
                                  check=False)
            self.assertEqual(done.returncode, 2, option)
            self.assertIn(f'{option.split("=")[0]}: ', done.stderr)
            self.assertIn('is no', done.stderr)
        done = subprocess.run([BUILD / 'host/jobs/vgpu-jobs'], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn('no --listen and no --serial', done.stderr)

    def test_check(self):
        """Says what is wrong, and starts and touches nothing: the socket of one that runs stays."""
        with tempfile.TemporaryDirectory(prefix='vgpu-jobs-') as folder, socket.socket(socket.AF_UNIX) as running:
            running.bind(f'{folder}/socket')
            running.listen()

            def check(*options):
                done = subprocess.run([BUILD / 'host/jobs/vgpu-jobs', '--check', f'--listen=unix:{folder}/socket',
                                       *options], capture_output=True, text=True, timeout=60, check=False)
                return done.returncode, done.stderr

            code, words = check()
            self.assertEqual(code, 0, words)
            self.assertIn('the options are right', words)
            code, words = check('--runner=/nowhere/runner', '--library=/nowhere')
            self.assertEqual(code, 2)
            self.assertIn('--runner: /nowhere/runner: No such file', words)
            self.assertIn('--library: /nowhere/libcuda.so.1: No such file', words)
            self.assertEqual(check('--job-timeout=x')[0], 2)
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(f'{folder}/socket')

    def test_port_that_is_not_there(self):
        """It waits for the VM, and says what it waits for: the path may be a mistake, or its rights."""
        with tempfile.TemporaryDirectory(prefix='vgpu-jobs-') as folder:
            with Daemon(Mediator(directory=folder), '--serial', f'late:3={folder}/late') as jobs:
                wait_until(lambda: 'late: No such file or directory; trying' in jobs.log.read_text(), 'it says so')


if __name__ == '__main__':
    tap.main()
