# SPDX-License-Identifier: Apache-2.0
"""Whose jobs they are, and that nobody takes the place or the name of another."""

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

import tap
from job_stack import ADD, Daemon, ptx_request
from ports import free_port
from stack import ROOT, Mediator, wait_until


def tenants_of(mediator):
    return {row['tenant']: row for row in mediator.admin('show-usage')['tenants']}


class Tenants(unittest.TestCase):
    """The jobs of a VM are the VM's: its pool, its limits, its quarantine."""

    def test_each_vm_has_its_own(self):
        allocate = ptx_request(arguments=[{'type': 'f32', 'count': 1 << 20}, {'type': 'f32', 'value': 1},
                                          {'type': 'u32', 'value': 0}])
        with Mediator('--tenant', 'vm:7 memory-mib=2', '--tenant', 'vm:8 weight=20') as mediator, \
                Daemon(mediator, ports=('one:7', 'two:8', 'three')) as jobs:
            one, two, three = jobs.ports
            for machine in jobs.ports:
                self.assertEqual(machine.call(ADD), {'result': [5, 7, 9]})
            found = tenants_of(mediator)
            for name in ('vm:7', 'vm:8', f'user:{os.getuid()}'):
                self.assertGreater(found[name]['launches'], 0, found)
            self.assertEqual(found['vm:8']['weight'], 20)
            # 4 MiB are more than the one has.
            self.assertIn('OUT_OF_MEMORY', one.call(allocate)['error'])
            self.assertNotIn('error', two.call(allocate))
            mediator.admin('quarantine-vm', 'vm:7', '--for', '3600')
            for machine in (one, two):
                # The runner has ended with its kernel's fault: the next job needs a new program.
                machine.call(ptx_request('wild', arguments=[]))
            self.assertIn('no GPU', one.call(ADD)['error'])
            self.assertEqual(two.call(ADD), {'result': [5, 7, 9]})
            self.assertEqual(three.call(ADD), {'result': [5, 7, 9]})
            self.assertGreater(tenants_of(mediator)['vm:8']['faults'], 0)

    def test_pool_of_the_vm(self):
        with Mediator(environment={'SOFTGPU_DEVICES': '2', 'SOFTGPU_MEMORY_BYTES': str(256 << 20)}) as mediator, \
                Daemon(mediator, ports=('one:7', 'two:8')) as jobs:
            wait_until(lambda: len(mediator.admin('scan-gpus')) == 2, 'the GPUs are known')
            for gpu, pool in (('0', 'A'), ('1', 'B')):
                mediator.admin('assign-gpu', gpu, pool)
            mediator.admin('register-vm', '0a0b0c0d-1111-2222-3333-444455556666', 'two', '--vm-id', '8', '--pool', 'B')
            for machine in jobs.ports:
                self.assertEqual(machine.call(ADD), {'result': [5, 7, 9]})
            self.assertEqual({gpu['gpu']: gpu['programs'] for gpu in mediator.admin('scan-gpus')}, {0: 1, 1: 1})
            mediator.wait_for_line('vm_id=8 pool=B .* job of "two"')

    def test_peers_by_address(self):
        port = free_port()
        with Mediator() as mediator, Daemon(mediator, '--listen', f'127.0.0.1:{port}', '--listen',
                                            f'unix:{mediator.directory}/carrier', '--vm', '127.0.0.1=9') as jobs:
            wait_until(lambda: 'Host daemon started' in jobs.log.read_text(), 'it listens')
            with socket.create_connection(('127.0.0.1', port)) as stream:
                stream.sendall(json.dumps(ADD).encode())
                self.assertEqual(json.loads(stream.recv(4096)), {'result': [5, 7, 9]})
                self.assertIn('vm:9', tenants_of(mediator))
            # As vgpu-xen-jobs names the guest: root alone may.
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(f'{mediator.directory}/carrier')
                stream.sendall(b'VM 1')
                stream.sendall(b'1\n' + json.dumps(ADD).encode())
                self.assertEqual('result' in json.loads(stream.recv(4096)), os.getuid() == 0)
                self.assertEqual('vm:11' in tenants_of(mediator), os.getuid() == 0)

    def test_ipv4_through_a_socket_for_both(self):
        """A listener on [::] gets IPv4 addresses within IPv6, and finds the VM of either."""
        if not Path('/proc/net/if_inet6').exists():
            self.skipTest('no IPv6 here')
        port = free_port()
        with Mediator() as mediator, Daemon(mediator, '--listen', f'[::]:{port}', '--vm', '127.0.0.1=9', '--vm',
                                            '0:0::1=12') as jobs:
            wait_until(lambda: 'Host daemon started' in jobs.log.read_text(), 'it listens')
            for host, tenant in (('127.0.0.1', 'vm:9'), ('::1', 'vm:12')):
                with socket.create_connection((host, port)) as stream:
                    stream.sendall(json.dumps(ADD).encode())
                    self.assertEqual(json.loads(stream.recv(4096)), {'result': [5, 7, 9]})
                    self.assertIn(tenant, tenants_of(mediator))

    def test_one_vm_does_not_take_all_connections(self):
        port = free_port()
        with Mediator() as mediator, Daemon(mediator, '--listen', f'127.0.0.1:{port}', '--vm', '127.0.0.1=9',
                                            '--clients-per-vm', '3', '--idle-timeout', '4', ports=('one:7',)) as jobs:
            wait_until(lambda: 'Host daemon started' in jobs.log.read_text(), 'it listens')
            streams = [socket.create_connection(('127.0.0.1', port)) for _ in range(3)]
            # Part of a request does not make it busy.
            streams[0].sendall(b'{"operation":')
            with socket.create_connection(('127.0.0.1', port)) as fourth:
                fourth.settimeout(60)
                self.assertEqual(fourth.recv(1), b'')
            with socket.create_connection(('127.0.0.1', port), source_address=('127.0.0.2', 0)) as other:
                other.sendall(json.dumps(ADD).encode())
                other.settimeout(60)
                self.assertEqual(json.loads(other.recv(4096)), {'result': [5, 7, 9]})
            # Idle ones are closed, and there is room again; a port that the operator has named may be idle.
            for stream in streams:
                stream.settimeout(60)
                self.assertEqual(stream.recv(1), b'')
                stream.close()
            with socket.create_connection(('127.0.0.1', port)) as stream:
                stream.sendall(json.dumps(ADD).encode())
                stream.settimeout(60)
                self.assertEqual(json.loads(stream.recv(4096)), {'result': [5, 7, 9]})
            self.assertEqual(jobs.ports[0].call(ADD), {'result': [5, 7, 9]})

    def connect(self, port, number):
        """As the machine with the address 127.0.1.NUMBER."""
        stream = socket.create_connection(('127.0.0.1', port), source_address=(f'127.0.1.{number}', 0))
        stream.settimeout(60)
        return stream

    def call(self, stream, request=ADD):
        stream.sendall(json.dumps(request).encode())
        return json.loads(stream.makefile('r').readline())

    def test_many_addresses_do_not_take_all_connections(self):
        port = free_port()
        with Mediator() as mediator, Daemon(mediator, '--listen', f'127.0.0.1:{port}', '--vm', '127.0.1.9=9',
                                            '--clients-max', '8', '--clients-per-vm', '3') as jobs:
            wait_until(lambda: 'Host daemon started' in jobs.log.read_text(), 'it listens')
            # The first one has had a job, which is what counts.
            streams = [self.connect(port, number) for number in range(10, 16)]
            streams[1].sendall(b'{"operation":')
            self.assertEqual(self.call(streams[0]), {'result': [5, 7, 9]})
            # A VM that is known has a place beside them, and another address gets the place of the one that is idle.
            with self.connect(port, 9) as known, self.connect(port, 20) as other:
                self.assertEqual(self.call(known), {'result': [5, 7, 9]})
                self.assertEqual(self.call(other), {'result': [5, 7, 9]})
                self.assertEqual(streams[1].recv(1), b'')
                self.assertEqual(self.call(streams[0]), {'result': [5, 7, 9]})
                # Who has more than others loses first, though others came before.
                more = self.connect(port, 15)
                self.assertEqual(streams[2].recv(1), b'')
                with self.connect(port, 21) as stream:
                    self.assertEqual(self.call(stream), {'result': [5, 7, 9]})
                    self.assertEqual(streams[5].recv(1), b'')
                    self.assertEqual(self.call(known), {'result': [5, 7, 9]})
            for stream in [*streams, more]:
                stream.close()

    def test_connections_whose_jobs_run_stay(self):
        port = free_port()
        with Mediator() as mediator, Daemon(mediator, '--listen', f'127.0.0.1:{port}', '--vm', '127.0.1.9=9',
                                            '--clients-max', '4', '--job-timeout', '10') as jobs:
            wait_until(lambda: 'Host daemon started' in jobs.log.read_text(), 'it listens')
            streams = [self.connect(port, number) for number in range(10, 13)]
            for stream in streams:
                stream.sendall(json.dumps(ptx_request('endless', arguments=[])).encode())
            wait_until(lambda: jobs.log.read_text().count('Received GPU request') == 3, 'the jobs run')
            with self.connect(port, 13) as stream:
                self.assertEqual(stream.recv(1), b'')
            with self.connect(port, 9) as known:
                for stream in streams:
                    self.assertIn('ended before its answer', stream.makefile('r').readline())
                self.assertEqual(self.call(known), {'result': [5, 7, 9]})
            # Who came too late has made one of them leave its place after its answer: the first.
            self.assertEqual(streams[0].recv(1), b'')
            with self.connect(port, 13) as stream:
                self.assertEqual(self.call(stream), {'result': [5, 7, 9]})
            self.assertEqual(self.call(streams[1]), {'result': [5, 7, 9]})
            for stream in streams:
                stream.close()

    def test_what_is_no_job_keeps_no_connection(self):
        port = free_port()
        with Mediator() as mediator, Daemon(mediator, '--listen', f'127.0.0.1:{port}', '--idle-timeout', '3') as jobs:
            wait_until(lambda: 'Host daemon started' in jobs.log.read_text(), 'it listens')
            with self.connect(port, 10) as stream:
                lines = 0

                def ended():
                    nonlocal lines
                    # It may be closed meanwhile, on a busy machine.
                    with contextlib.suppress(ConnectionError):
                        if lines < 20:
                            stream.sendall(b'no job\n')
                            lines += stream.recv(1 << 16) != b''
                    return 'no job for 3 s' in jobs.log.read_text()
                wait_until(ended, 'it is closed')
                self.assertGreater(lines, 1)

    def test_what_is_no_job_does_not_fill_the_log(self):
        """However much of it is sent, and over how many connections."""
        port = free_port()
        answers = 0
        with Mediator() as mediator, Daemon(mediator, '--listen', f'127.0.0.1:{port}') as jobs:
            wait_until(lambda: 'Host daemon started' in jobs.log.read_text(), 'it listens')
            for _ in range(30):
                with self.connect(port, 10) as stream, contextlib.suppress(ConnectionError):
                    stream.sendall(b'x\n' * 1000)
                    stream.shutdown(socket.SHUT_WR)
                    for answer in stream.makefile('r'):
                        self.assertIn('no JSON object', answer)
                        answers += 1
            self.assertGreater(answers, 500)
            self.assertLess(answers, 30 * 100)
            lines = jobs.log.read_text().count('\n')
            self.assertLess(lines, 500)
            with self.connect(port, 10) as stream:
                self.assertEqual(self.call(stream), {'result': [5, 7, 9]})

    def test_runner_cannot_be_another(self):
        """It cannot connect to anything, the mediator included, whatever a request makes of it."""
        with Mediator() as mediator, Daemon(mediator, ports=('one:7',)) as jobs:
            self.assertEqual(jobs.ports[0].call(ADD), {'result': [5, 7, 9]})
            runner, = jobs.runners()
            status = Path(f'/proc/{runner}/status').read_text()
            self.assertRegex(status, r'Seccomp:\s+2')
            self.assertRegex(status, r'NoNewPrivs:\s+1')
            self.assertRegex(status, r'CapEff:\s+0+\n')
            environment = Path(f'/proc/{runner}/environ').read_bytes()
            self.assertNotIn(b'VGPU_SOCKET', environment)

    def test_descriptor_that_lingers(self):
        """What comes over one VM's port cannot make the others wait; it ends the connection."""
        with Mediator() as mediator, Daemon(mediator, ports=('one:7', 'two:8')) as jobs:
            one, two = jobs.ports
            self.assertEqual(one.call(ADD), {'result': [5, 7, 9]})
            with socket.create_server(('127.0.0.1', 0)) as server:
                lingers = socket.create_connection(server.getsockname())
                peer, _ = server.accept()
            # Whoever closes its last descriptor waits for an hour.
            lingers.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 3600))
            lingers.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    lingers.send(bytes(65536))
            jobs.process.send_signal(signal.SIGSTOP)
            socket.send_fds(one.stream, [b' '], [lingers.fileno()])
            lingers.close()
            jobs.process.send_signal(signal.SIGCONT)
            self.assertEqual(two.call(ADD), {'result': [5, 7, 9]})
            self.assertEqual(one.stream.recv(1), b'')
            one.connect()
            self.assertEqual(one.call(ADD), {'result': [5, 7, 9]})
            peer.close()


class Folder(unittest.TestCase):
    """The folder of VMs' serial ports, as the packaged rule makes it."""

    def as_user(self, user, group, work):
        child = os.fork()
        if child == 0:
            code = 1
            with contextlib.suppress(OSError):
                os.setgroups([group])
                os.setresgid(group, group, group)
                os.setresuid(user, user, user)
                os.umask(0o007)
                work()
                code = 0
            os._exit(code)
        return os.waitpid(child, 0)[1] == 0

    def test_nobody_replaces_another_vms_socket(self):
        group, one, other = 4000, 4001, 4002
        rule = ROOT / 'packaging/tmpfiles.d/vgpu-cuda.conf'
        if os.geteuid() != 0 or not shutil.which('systemd-tmpfiles') or not rule.exists():
            self.skipTest('needs root and systemd-tmpfiles')
        with tempfile.TemporaryDirectory(prefix='vgpu-jobs-') as root:
            os.chmod(root, 0o755)
            for name, text in (('passwd', 'root:x:0:0::/:/bin/sh\n'), ('group', f'root:x:0:\nvgpu:x:{group}:\n')):
                path = Path(root, 'etc', name)
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
            lines = [line for line in rule.read_text().splitlines() if line.startswith('d /run/vgpu ')]
            self.assertEqual(len(lines), 1)
            Path(root, 'rule.conf').write_text(lines[0] + '\n')
            subprocess.run(['systemd-tmpfiles', '--create', f'--root={root}', f'{root}/rule.conf'], check=True, timeout=60)
            port = Path(root, 'run/vgpu/vm-a.job')

            def bind():
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind(str(port))

            self.assertTrue(self.as_user(one, group, bind))
            # The group may connect: vgpu-jobs is in it.
            self.assertEqual((port.stat().st_gid, port.stat().st_mode & 0o777), (group, 0o770))
            self.assertFalse(self.as_user(other, group, port.unlink))
            self.assertTrue(self.as_user(one, group, port.unlink))


if __name__ == '__main__':
    tap.main()
