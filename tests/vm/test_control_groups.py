# SPDX-License-Identifier: Apache-2.0
"""Control groups of tenants' executors, on a kernel that has them: mediator, worker, executors, programs all in a VM."""

import json
import re
import unittest

import guest as machines
import stack
import tap

BUILD = stack.build_directory()
FILES = [f'{BUILD}/host/mediator/mediator_phase3:bin/mediator_phase3',
         f'{BUILD}/host/executor/cuda-executor:bin/cuda-executor', f'{BUILD}/host/admin/vgpu-admin:bin/vgpu-admin',
         f'{BUILD}/softgpu/driver/libsoftgpu.so.1:softgpu/libsoftgpu.so.1',
         f'{BUILD}/guest/libcuda/libcuda.so.1:lib/libcuda.so.1', f'{BUILD}/examples/vector_add:bin/vector_add',
         f'{BUILD}/tests/end_to_end/copy_loop:bin/copy_loop', f'{BUILD}/host/worker/vgpu-worker:bin/vgpu-worker',
         f'{BUILD}/host/worker/vgpu-relay:bin/vgpu-relay']
BASE = '/sys/fs/cgroup/vgpu'
SOCKET = '/tmp/mediator.sock'
LOCAL = f'export VGPU_TRANSPORT=local VGPU_SOCKET={SOCKET}; '
MEDIATOR = ('mediator_phase3 --executor-cgroup=own --socket=' + SOCKET + ' --socket-mode=0666 --executor-user=user '
            '--driver=/softgpu/libsoftgpu.so.1 --keep=180 --heartbeat=1 --executor-start-timeout=150 '
            '--log=/tmp/mediator.log --tenant="default host-memory-mib=512" --tenant="user:0 host-memory-mib=24"')

# An emulated processor on a machine that does other things too.
PATIENCE = 180


def wait_until(condition, what):
    return stack.wait_until(condition, what, PATIENCE)


class Groups(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = machines.Guest(vm_id=1, image=machines.build_image(FILES), device=False)
        cls.addClassCleanup(cls.guest.stop)
        cls.guest.start()
        cls.guest.check('mount -t cgroup2 none /sys/fs/cgroup && mkdir ' + BASE +
                        ' && echo "+memory +pids" >/sys/fs/cgroup/cgroup.subtree_control')
        cls.mediator_start()

    @classmethod
    def mediator_start(cls):
        starts = cls.log().count('Listening on socket')
        # As a service's manager does it: the mediator begins in the group that is its own.
        cls.guest.check(f"sh -c 'echo $$ >/tmp/mediator.pid; cd {BASE}; [ -e mediator ] && cd mediator; "
                        f"echo $$ >cgroup.procs; exec {MEDIATOR}' </dev/null >/tmp/mediator.out 2>&1 &")
        wait_until(lambda: cls.log().count('Listening on socket') > starts, 'the mediator listens')
        wait_until(lambda: 'CUDA initialized' in cls.log(), 'there is a driver')

    @classmethod
    def log(cls):
        return cls.guest.run('cat /tmp/mediator.log 2>/dev/null').output

    def copy_loop(self, user, output):
        """Starts it as that user; returns when it copies, or has failed."""
        self.guest.check(f"{LOCAL}su {user} -s /bin/sh -c 'copy_loop >{output} 2>&1; echo ended >>{output}' "
                         "</dev/null >/dev/null 2>&1 &")
        wait_until(lambda: self.output(output), 'it says something')

    def output(self, path):
        return self.guest.run(f'cat {path} 2>/dev/null').output

    def read(self, tenant, file):
        return self.guest.check(f'cat {BASE}/{tenant}/{file}').output.strip()

    def executor(self, tenant):
        return self.read(tenant, 'cgroup.procs').split()

    def admin(self, *words, socket=SOCKET):
        done = self.guest.check(f'vgpu-admin --json --socket={socket}.admin ' + ' '.join(words))
        return json.loads(done.output)

    def metrics(self, socket=SOCKET):
        return self.guest.check(f'vgpu-admin --socket={socket}.admin metrics').output

    def test_limits_and_kills(self):
        self.assertEqual(self.guest.check(f'cat {BASE}/cgroup.procs').output, '')
        mediator = self.guest.check('cat /tmp/mediator.pid').output.strip()
        self.assertIn(mediator, self.read('mediator', 'cgroup.procs').split())
        self.copy_loop('user', '/tmp/other')
        self.assertIn('copying', self.output('/tmp/other'))
        for file, value in (('memory.max', 512 << 20), ('memory.swap.max', 0), ('memory.oom.group', 1),
                            ('pids.max', 4096)):
            # A kernel without swap has no limit for it.
            if file != 'memory.swap.max' or self.guest.run(f'test -e {BASE}/user-1000/{file}').status == 0:
                self.assertEqual(self.read('user-1000', file), str(value))
        pid, = self.executor('user-1000')
        self.assertIn('cuda-executor', self.guest.check(f'tr "\\0" " " </proc/{pid}/cmdline').output)
        # copy_loop's 32 MiB of the software GPU are more than the other one may have of the host.
        self.copy_loop('root', '/tmp/killed')
        wait_until(lambda: 'ended' in self.output('/tmp/killed'), 'it has ended')
        self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', self.output('/tmp/killed'))
        self.assertRegex(self.log(), r'uid=0 .*the executor was killed, for its tenant.s executors have used up')
        usage = self.admin('show-vm', 'user:0')
        self.assertGreaterEqual(usage['memory_kills'], 1)
        self.assertEqual(usage['host-memory-mib'], 24)
        self.assertEqual(usage['host_memory_bytes'], 0)
        self.assertRegex(self.metrics(), r'vgpu_vm_memory_kills_total\{tenant="user:0",vm_id="0"\} [1-9]')
        self.assertRegex(self.metrics(), r'vgpu_vm_memory_kills_total\{tenant="user:1000",vm_id="0"\} 0\n')
        self.assertNotEqual(self.guest.run(f'test -e {BASE}/user-0').status, 0)
        # The other one noticed nothing.
        self.assertNotIn('ended', self.output('/tmp/other'))
        self.assertGreater(self.admin('show-vm', 'user:1000')['host_memory_bytes'], 32 << 20)
        self.assertRegex(self.metrics(), r'vgpu_vm_host_memory_bytes\{tenant="user:1000",vm_id="0"\} [1-9]\d{7}')
        # A limit that is set holds at once; with enough of it the program works.
        self.admin('update-vm', 'user:1000', '--host-memory-mib', '400', '--host-tasks', '99')
        self.assertEqual(self.read('user-1000', 'memory.max'), str(400 << 20))
        self.assertEqual(self.read('user-1000', 'pids.max'), '99')
        self.admin('update-vm', 'user:0', '--host-memory-mib', '0')
        result = self.guest.run(LOCAL + 'vector_add 200000', PATIENCE)
        self.assertEqual(result.status, 0, result.output)

        # The next mediator takes it over with its group.
        self.guest.check('kill -9 $(cat /tmp/mediator.pid)')
        self.guest.check(f'mkdir -p {BASE}/vm-77')
        self.mediator_start()
        wait_until(lambda: 'adopted' in self.log(), 'it has taken over')
        self.assertEqual(self.executor('user-1000'), [pid])
        self.assertNotEqual(self.guest.run(f'test -e {BASE}/vm-77').status, 0)
        self.assertGreater(self.admin('show-vm', 'user:1000')['host_memory_bytes'], 32 << 20)
        self.admin('update-vm', 'user:1000', '--host-memory-mib', '16')
        wait_until(lambda: 'ended' in self.output('/tmp/other'), 'it has ended')
        self.assertRegex(self.log(), r'uid=1000 .*the executor was killed, for its tenant.s executors have used up')
        wait_until(lambda: self.guest.run(f'test -e {BASE}/user-1000').status != 0, 'the group is removed')

    def test_folder(self):
        """One that is not there is made; one that has processes of its own cannot be used, and nothing depends on it."""
        start = ("mediator_phase3 --socket=/tmp/{0}.sock --executor-user=user --driver=/softgpu/libsoftgpu.so.1 "
                 "--log=/tmp/{0}.log --executor-cgroup=/sys/fs/cgroup/{0} </dev/null >/dev/null 2>&1 & echo $!")
        self.guest.check('mkdir /sys/fs/cgroup/busy; sleep 600 >/dev/null 2>&1 & echo $! >/sys/fs/cgroup/busy/cgroup.procs')
        for name in ('made', 'busy'):
            pid = self.guest.check(start.format(name)).output.strip()
            wait_until(lambda n=name: 'CUDA initialized' in self.output(f'/tmp/{n}.log'), 'there is a driver')
            result = self.guest.run(f'VGPU_TRANSPORT=local VGPU_SOCKET=/tmp/{name}.sock vector_add 1000', PATIENCE)
            self.assertEqual(result.status, 0, result.output)
            self.guest.check('kill -INT ' + pid)
        self.assertEqual(self.guest.check('cat /sys/fs/cgroup/made/cgroup.subtree_control').output.split(),
                         ['memory', 'pids'])
        self.assertNotIn('CGROUP', self.output('/tmp/made.log'))
        self.assertIn('executors run without (other processes are in it)', self.output('/tmp/busy.log'))

    def worker_start(self):
        before = self.output('/tmp/worker.log').count('listens on')
        pid = self.guest.check('vgpu-worker --listen=127.0.0.1:5555 --credentials=/tmp/worker.psk --driver=/softgpu/libsoftgpu.so.1 '
                               '--executor-user=user --executor-cgroup=/sys/fs/cgroup/worker --host-memory-mib=48 --host-tasks=99 '
                               '</dev/null >>/tmp/worker.log 2>&1 & echo $!').output.strip()
        wait_until(lambda: self.output('/tmp/worker.log').count('listens on') > before, 'the worker listens')
        return pid

    def test_worker(self):
        """Each tenant's executors at a worker: one takes too much, another goes on."""
        base = '/sys/fs/cgroup/worker'
        self.guest.put('/tmp/worker.psk', b'psk ' + b'5a' * 32 + b'\n')
        worker = self.worker_start()
        self.assertEqual(self.guest.check(f'cat {base}/cgroup.subtree_control').output.split(), ['memory', 'pids'])
        mediator = self.guest.check(
            'mediator_phase3 --socket=/tmp/remote.sock --socket-mode=0666 --executor-user=user --worker=A=127.0.0.1:5555 '
            '--worker-credentials=/tmp/worker.psk --relay=/bin/vgpu-relay --executor-start-timeout=150 --worker-silence=60000 '
            '--log=/tmp/remote.log </dev/null >/dev/null 2>&1 & echo $!').output.strip()
        wait_until(lambda: 'it has 1 GPU' in self.output('/tmp/remote.log'), 'the worker is there')
        remote = 'VGPU_TRANSPORT=local VGPU_SOCKET=/tmp/remote.sock '

        def copies():
            self.guest.check('rm -f /tmp/remote.out; '
                             f"su user -s /bin/sh -c '{remote} copy_loop 1 >/tmp/remote.out 2>&1; echo ended >>/tmp/remote.out' "
                             '</dev/null >/dev/null 2>&1 &')
            wait_until(lambda: re.search('copying|ended', self.output('/tmp/remote.out')), 'it says something')
            return self.output('/tmp/remote.out') == 'copying\n'

        # Again where it could not begin: a worker's handshake has a limit.
        wait_until(copies, 'it copies')
        group, = self.guest.check(f'cd {base} && ls -d host-*-user-1000').output.split()
        self.assertEqual(self.read(f'../worker/{group}', 'memory.max'), str(48 << 20))
        self.assertEqual(self.read(f'../worker/{group}', 'pids.max'), '99')
        executor, = self.read(f'../worker/{group}', 'cgroup.procs').split()
        self.assertIn('cuda-executor', self.guest.check(f'tr "\\0" " " </proc/{executor}/cmdline').output)

        def is_killed():
            # Of 64 MiB on the device.
            result = self.guest.run(remote + 'copy_loop 64', PATIENCE)
            self.assertNotEqual(result.status, 0)
            return 'CUDA_ERROR_DEVICE_UNAVAILABLE' in result.output and re.search(
                r'\[CGROUP\] .*user:0 of .*: the executor was killed, for its tenant.s executors have used up',
                self.output('/tmp/worker.log'))

        wait_until(is_killed, 'the executor of the one that takes too much is killed')
        # The mediator knows as of executors of its own.
        wait_until(lambda: re.search(r'\[CGROUP\] .*uid=0 .*: worker: the executor was killed, for its tenant.s',
                                     self.output('/tmp/remote.log')), 'the mediator is told')
        usage = self.admin('show-vm', 'user:0', socket='/tmp/remote.sock')
        self.assertGreaterEqual(usage['memory_kills'], 1)
        metrics = self.metrics('/tmp/remote.sock')
        self.assertRegex(metrics, r'vgpu_vm_memory_kills_total\{tenant="user:0",vm_id="0"\} [1-9]')
        self.assertRegex(metrics, r'vgpu_vm_memory_kills_total\{tenant="user:1000",vm_id="0"\} 0\n')
        self.assertRegex(metrics, r'vgpu_pool_executor_deaths_total\{pool="A"\} [1-9]')
        self.assertEqual(self.output('/tmp/remote.out'), 'copying\n')
        wait_until(lambda: self.guest.check(f'cd {base} && ls -d host-*').output.split() == [group], 'its group is removed')
        # The next worker removes what this one leaves.
        self.guest.check(f'kill -9 {worker}')
        wait_until(lambda: self.guest.run(f'[ -d /proc/{executor} ]').status, 'its executors end')
        self.worker_start()
        self.assertNotEqual(self.guest.run(f'ls -d {base}/host-*').status, 0)
        self.guest.check(f'kill {mediator}')


if __name__ == '__main__':
    tap.main()
