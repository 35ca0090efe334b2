# SPDX-License-Identifier: Apache-2.0
"""executor-cgroup of the installed services: in the group that systemd gives away, and in a folder beside systemd's."""

import re
import unittest

import host as hosts
import tap
from host import CONFIGURATION, SOFTGPU, TESTS, wait_until

GROUPS = '/sys/fs/cgroup'


class Groups:
    """suite, setting; base and worker_base, where tenants' groups are then; leaves: are the daemons in groups beside them?"""

    @classmethod
    def setUpClass(cls):
        cls.host = hosts.Host(cls.suite)
        cls.addClassCleanup(cls.host.stop)
        cls.host.start()
        cls.host.install()
        for unit in ('mediator', 'vgpu-worker'):
            cls.host.check(f'cp -r /usr/local/share/vgpu-cuda/systemd/{unit}.service.d /etc/systemd/system')
            # What systemd is too old for is to be left out.
            if not cls.leaves:
                cls.host.check(f'sed -i /^DelegateSubgroup/d /etc/systemd/system/{unit}.service.d/executor-cgroup.conf')
        cls.host.check(f'printf "executor-cgroup = {cls.setting}\\ntenant = user:1002 host-memory-mib=24\\n" >>{CONFIGURATION}; '
                       'systemctl daemon-reload && systemctl start mediator')

    def group(self, path):
        return self.host.check(f'cat {path}/cgroup.procs').output.split()

    def daemon_is_placed(self, unit, base, leaf):
        """In its leaf, or where systemd has put it."""
        pid = self.host.show(unit, 'MainPID')
        own = f'{GROUPS}/system.slice/{unit}.service'
        if self.leaves:
            self.assertIn(pid, self.group(f'{base}/{leaf}'))
            self.assertEqual(self.group(base), [])
        else:
            self.assertIn(pid, self.group(own))
        self.assertEqual(self.host.run(f'journalctl -b -o cat -u {unit} | grep CGROUP.*without').output, '')

    def killed(self, base, unit, line):
        """nora's program takes more than she may have, which the unit's journal says in such a line."""
        before = len(re.findall(line, self.host.journal(unit)))

        def is_killed():
            result = self.host.run_as('nora', f'{TESTS}/copy_loop 64')
            self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', result.output)
            return len(re.findall(line, self.host.journal(unit))) > before

        wait_until(is_killed, 'her executor is killed')
        self.assertNotEqual(self.host.run(f'ls -d {base}/*user-1002').status, 0)

    def test_mediator(self):
        self.host.copy_loop('alice', '/tmp/copies')
        self.addCleanup(self.host.run, 'pkill -x copy_loop')
        self.daemon_is_placed('mediator', self.base, 'mediator')
        executors = self.group(f'{self.base}/user-1000')
        self.assertEqual(executors, self.host.executors())
        killed = r'uid=1002 .*the executor was killed, for its tenant.s executors have used up'
        self.killed(self.base, 'mediator', killed)

        for restart in ('systemctl restart mediator', 'kill -9 $(systemctl show --value -p MainPID mediator)'):
            before = self.host.show('mediator', 'MainPID')
            self.host.check(restart)
            wait_until(lambda b=before: self.host.show('mediator', 'MainPID') not in ('0', b) and
                       self.host.show('mediator', 'ActiveState') == 'active', 'there is another mediator')
            self.daemon_is_placed('mediator', self.base, 'mediator')
            self.assertEqual(self.group(f'{self.base}/user-1000'), executors)
            self.assertEqual(self.host.read('/tmp/copies'), 'copying\n')
            # It manages the groups as the one before did.
            self.killed(self.base, 'mediator', killed)
        self.host.check('vgpu-admin update-vm user:1000 --host-memory-mib 16')
        wait_until(lambda: 'ended' in self.host.read('/tmp/copies'), 'it has ended')
        wait_until(lambda: self.host.run(f'test -e {self.base}/user-1000').status, 'its group is removed')
        self.host.check('vgpu-admin update-vm user:1000 --host-memory-mib 0')

    def test_worker(self):
        options = f'--driver {SOFTGPU} --executor-cgroup {self.worker_setting} --host-memory-mib 48'
        self.host.check(f'umask 077; echo "psk $(openssl rand -hex 32)" >/etc/vgpu/worker.pem; umask 022; '
                        f'echo \'VGPU_WORKER_OPTIONS="{options}"\' >/etc/vgpu/worker.conf; systemctl start vgpu-worker; '
                        f'cp {CONFIGURATION} /root/right; echo "worker = B=127.0.0.1:5555" >>{CONFIGURATION}; '
                        'systemctl reload mediator; vgpu-admin set-pool user:1000 B; vgpu-admin set-pool user:1002 B')
        self.addCleanup(self.host.run, f'cp {CONFIGURATION} /root/right; systemctl reload mediator; systemctl stop vgpu-worker; '
                        'vgpu-admin set-pool user:1000 A; vgpu-admin set-pool user:1002 A')
        wait_until(lambda: 'it has 1 GPU' in self.host.journal('mediator'), 'the worker is there')
        wait_until(lambda: self.host.run_as('alice', f'{TESTS}/vector_add 1000').status == 0, 'programs work')
        self.host.copy_loop('alice', '/tmp/remote', 1)
        self.addCleanup(self.host.run, 'pkill -x copy_loop')
        self.daemon_is_placed('vgpu-worker', self.worker_base, 'worker')
        executor, = self.group(f'{self.worker_base}/host-*-user-1000')
        self.assertIn(executor, self.host.executors())
        self.killed(self.worker_base, 'vgpu-worker', r'\[CGROUP\] .*user:1002 of .*: the executor was killed')
        self.assertEqual(self.host.read('/tmp/remote'), 'copying\n')
        # Its executors end with it, and their groups with them or at the next start.
        self.host.check('systemctl restart vgpu-worker')
        self.daemon_is_placed('vgpu-worker', self.worker_base, 'worker')
        self.assertNotEqual(self.host.run(f'ls -d {self.worker_base}/host-*').status, 0)


class Delegated(Groups, unittest.TestCase):
    """DelegateSubgroup is there from systemd 254 on."""
    suite, setting, worker_setting, leaves = 'trixie', 'own', 'own', True
    base = f'{GROUPS}/system.slice/mediator.service'
    worker_base = f'{GROUPS}/system.slice/vgpu-worker.service'


class Beside(Groups, unittest.TestCase):
    suite, leaves = 'bookworm', False
    setting = base = f'{GROUPS}/vgpu'
    worker_setting = worker_base = f'{GROUPS}/vgpu-worker'


if __name__ == '__main__':
    tap.main()
