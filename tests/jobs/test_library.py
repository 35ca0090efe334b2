# SPDX-License-Identifier: Apache-2.0
"""The library of jobs as an operator has it: installed, and a program that is compiled against it."""

import errno
import json
import os
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

import tap
from stack import Mediator, build_directory, wait_until
from job_stack import ADD, Daemon

SOURCE = Path(__file__).resolve().parents[2]
LOOPBACK = 1  # VMADDR_CID_LOCAL
PORT = 50521


def install(folder):
    """What the guest gets. What make would build first is built, and packages are not this test's to install."""
    subprocess.run(['make', '--no-print-directory', '-o', 'configure', 'install-guest', f'BUILD={build_directory()}',
                    f'DESTDIR={folder}', 'PREFIX=/usr/local'], cwd=SOURCE, check=True, capture_output=True, text=True)


def compile_client(folder):
    local = Path(folder) / 'usr/local'
    client = Path(folder) / 'client'
    subprocess.run(['cc', '-Wall', '-Wextra', '-Werror', '-o', client, SOURCE / 'tests/jobs/client.c', '-I',
                    local / 'include', '-L', local / 'lib', '-lvgpujob'], check=True)
    return client, {**os.environ, 'LD_LIBRARY_PATH': str(local / 'lib')}


def why_no_vsock():
    """Empty: a vsock of this machine reaches itself."""
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as listener, \
                socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as peer:
            listener.bind((socket.VMADDR_CID_ANY, PORT))
            listener.listen()
            peer.settimeout(5)
            peer.connect((LOOPBACK, PORT))
    except OSError as error:
        return f'vsock does not reach this machine itself (vsock_loopback): {errno.errorcode.get(error.errno, error)}'
    return ''


class Library(unittest.TestCase):
    def run_client(self, client, environment, where, *requests):
        done = subprocess.run([client, where, *(json.dumps(request) for request in requests)], env=environment,
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done)
        return [json.loads(line) for line in done.stdout.splitlines()]

    @unittest.skipIf(os.environ.get('VGPU_SANITIZED'), 'its sanitizer would have to be the first library')
    def test_a_program_with_the_installed_library(self):
        with tempfile.TemporaryDirectory(prefix='vgpu-library-') as folder:
            install(folder)
            client, environment = compile_client(folder)
            with Mediator() as mediator:
                where = f'unix:{mediator.directory}/jobs.sock'
                with Daemon(mediator, '--listen', where) as daemon:
                    self.wait_for(daemon, where)
                    answers = self.run_client(client, environment, where, ADD, {'operation': 'none'})
                    self.assertEqual(answers[0], {'result': [5, 7, 9]})
                    self.assertIn('error', answers[1])
            done = subprocess.run([client, where, json.dumps(ADD)], env=environment, capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn('vgpu_job_connect: ', done.stderr)

    def wait_for(self, daemon, where):
        wait_until(lambda: 'Host daemon started' in daemon.log.read_text(), f'vgpu-jobs listens on {where}')

    @unittest.skipIf(why_no_vsock(), why_no_vsock())
    def test_vsock(self):
        """A job over vsock is the VM's of that context."""
        run = build_directory() / 'guest/jobs/vgpu-run'
        with Mediator() as mediator, Daemon(mediator, f'--listen=vsock:{PORT}', f'--vm=vsock:{LOOPBACK}=9') as daemon:
            self.wait_for(daemon, 'vsock')
            done = subprocess.run([run, '--to', f'vsock:{LOOPBACK}:{PORT}', 'vector_add', '1,2,3', '4,5,6'],
                                  capture_output=True, text=True, timeout=120)
            self.assertEqual((done.returncode, json.loads(done.stdout)), (0, {'result': [5, 7, 9]}), done)
            self.assertIn(f'Received GPU request from VM of context {LOOPBACK}', daemon.log.read_text())
            mediator.wait_for_line('vm_id=9')


if __name__ == '__main__':
    tap.main()
