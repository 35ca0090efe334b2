# SPDX-License-Identifier: Apache-2.0
"""The installed services under systemd, on a host made of Debian's packages, as docs/operations.md has an operator do it."""

import re
import unittest

import host as hosts
import tap
from host import CONFIGURATION, SOFTGPU, TESTS, wait_until

UNITS = ('mediator', 'vgpu-worker', 'vgpu-jobs')
EXECUTORS_FIRST, WORKER_EXECUTORS_FIRST, EXECUTORS = 1879048192, 1879113728, 4096
# "Worker VM" of docs/operations.md.
CERTIFICATES = r"""
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=vgpu \
    -keyout ca.key -out ca.crt
certify() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$1 -keyout $1.key -out $1.csr
    openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 \
        -extfile <(printf '%s\n' "${@:2}") -out $1.crt
    cat $1.crt $1.key ca.crt > $1.pem
}
certify worker extendedKeyUsage=serverAuth subjectAltName=IP:127.0.0.1
certify host extendedKeyUsage=clientAuth
install -m 600 worker.pem /etc/vgpu/worker.pem
install -m 600 host.pem /etc/vgpu/host.pem
"""


class Services(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = hosts.Host('bookworm')
        cls.addClassCleanup(cls.host.stop)
        cls.host.start()
        cls.host.install()
        cls.host.check('systemctl enable --now mediator.service')

    def computes(self, user='alice', elements=1000):
        result = self.host.run_as(user, f'{TESTS}/vector_add {elements}')
        self.assertEqual(result.status, 0, result.output)
        self.assertIn('PASS vector_add', result.output)

    def confined(self, pid, capabilities):
        """What the unit grants, and that systemd's own tree is not to be written to."""
        self.assertEqual(int(self.host.status(pid, 'CapBnd'), 16), sum(1 << number for number in capabilities))
        self.assertEqual(self.host.status(pid, 'NoNewPrivs'), '1')
        for path in ('/usr/local/sbin/x', '/etc/x'):
            self.assertIn('Read-only file system', self.host.run(f'nsenter -t {pid} -m touch {path}').output)

    def executor_confined(self, pid, first):
        self.assertIn(int(self.host.status(pid, 'Uid').split()[0]), range(first, first + EXECUTORS))
        self.assertEqual(int(self.host.status(pid, 'CapEff'), 16), 0)
        self.assertEqual(self.host.status(pid, 'Seccomp'), '2')
        self.assertEqual(self.host.status(pid, 'NoNewPrivs'), '1')

    def failed_for_good(self, unit):
        """Wrong settings: the unit has failed, and is not started again."""
        self.assertEqual(self.host.show(unit, 'ActiveState'), 'failed')
        self.assertEqual(self.host.show(unit, 'ExecMainStatus'), '2')
        self.host.check('sleep 8')
        self.assertEqual(self.host.show(unit, 'ActiveState'), 'failed')
        self.assertEqual(self.host.show(unit, 'NRestarts'), '0')

    def test_local_programs(self):
        self.computes()
        self.assertEqual(self.host.run('vgpu-admin show-health').status, 0)
        status = self.host.check('vgpu-admin status').output
        self.assertEqual(self.host.run_as('vera', 'vgpu-admin status').status, 0)
        self.assertEqual(self.host.run_as('vera', 'vgpu-admin set-weight user:1000 7').status, 4)
        for user in ('alice', 'nora', 'nobody'):
            result = self.host.run_as(user, 'vgpu-admin status')
            self.assertEqual(result.status, 4, result.output)
            self.assertNotIn('programs', result.output)
        self.assertIn('database        /var/lib/vgpu/vgpu.db', status)
        journal = self.host.journal('mediator')
        for line in ('CUDA initialized: ', 'Listening on socket: /var/vgpu/mediator.sock',
                     'local program "vector_add" pid=', 'ready, executor pid ', '[ADMIN] refused: pid='):
            self.assertIn(line, journal)
        # A line of an executor's libraries is in the journal too, though nobody reads it.
        self.assertEqual(self.host.run('journalctl -b -o cat | grep libcap-ng').output, '')

    def test_confinement(self):
        self.host.copy_loop('alice', '/tmp/confined')
        self.addCleanup(self.host.run, 'pkill -x copy_loop')
        pid = self.host.show('mediator', 'MainPID')
        # CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, SYS_PTRACE
        self.confined(pid, (0, 1, 3, 5, 6, 7, 19))
        executor, = self.host.executors()
        self.executor_confined(executor, EXECUTORS_FIRST)
        self.assertEqual(self.host.check('stat -c "%a %U" /var/lib/vgpu /var/cache/vgpu').output.splitlines(),
                         ['750 root', '711 root'])
        exposures = dict(re.findall(r'^(\S+)\.service +(\d+\.\d+) ', self.host.check(
            'systemd-analyze security --no-pager ' + ' '.join(UNITS)).output, re.MULTILINE))
        print('# systemd-analyze security:', exposures)
        for unit in UNITS:
            self.host.check(f'systemd-analyze security --no-pager --threshold=60 {unit}.service')

    def test_restart(self):
        self.host.copy_loop('alice', '/tmp/kept')
        self.addCleanup(self.host.run, 'pkill -x copy_loop')
        executors = self.host.executors()
        self.assertEqual(len(executors), 1)
        first = self.host.show('mediator', 'MainPID')
        self.host.check('systemctl restart mediator.service')
        second = self.host.show('mediator', 'MainPID')
        self.assertNotEqual(first, second)
        # It listens when systemctl comes back.
        self.computes('nora')
        self.assertIn('adopted', self.host.journal('mediator'))
        self.host.check('kill -9 ' + second)
        wait_until(lambda: self.host.show('mediator', 'NRestarts') == '1' and
                   self.host.show('mediator', 'ActiveState') == 'active', 'systemd starts it again')
        wait_until(lambda: self.host.run_as('nora', f'{TESTS}/vector_add 1000').status == 0, 'programs work')
        self.assertEqual(self.host.executors(), executors)
        self.assertEqual(self.host.read('/tmp/kept'), 'copying\n')

        # What it reads again holds; what is wrong is not taken over.
        self.host.check(f'cp {CONFIGURATION} /root/right && echo "log-level = debug" >>{CONFIGURATION} '
                        '&& systemctl reload mediator.service')
        wait_until(lambda: 'The configuration was read again' in self.host.journal('mediator'), 'it is read again')
        self.host.check(f'echo "log-level = loud" >>{CONFIGURATION} && systemctl reload mediator.service')
        wait_until(lambda: 'The configuration stays as it was' in self.host.journal('mediator'), 'it is refused')
        self.assertEqual(self.host.show('mediator', 'ActiveState'), 'active')
        self.host.check(f'cp /root/right {CONFIGURATION} && systemctl reload mediator.service')
        self.assertEqual(self.host.read('/tmp/kept'), 'copying\n')

    def test_wrong_settings(self):
        self.host.check(f'cp {CONFIGURATION} /root/right && echo "slize = 1" >>{CONFIGURATION}')
        self.assertNotEqual(self.host.run('systemctl restart mediator.service').status, 0)
        self.failed_for_good('mediator')
        self.assertIn('slize', self.host.journal('mediator'))
        self.host.check(f'cp /root/right {CONFIGURATION} && systemctl start mediator.service')
        self.computes()
        # No credentials, and no VM.
        self.host.check('rm -f /etc/vgpu/worker.pem /etc/vgpu/jobs.conf')
        for unit in ('vgpu-worker', 'vgpu-jobs'):
            self.assertNotEqual(self.host.run(f'systemctl start {unit}').status, 0)
            self.failed_for_good(unit)

    def test_worker_and_jobs(self):
        """A worker over TCP and TLS, and jobs that compute there."""
        self.host.put('/root/certificates.sh', CERTIFICATES.encode())
        self.host.check('mkdir /root/ca && cd /root/ca && bash -e ../certificates.sh 2>&1')
        self.host.check(f'echo \'VGPU_WORKER_OPTIONS="--driver {SOFTGPU}"\' >/etc/vgpu/worker.conf && '
                        'systemctl enable --now vgpu-worker')
        self.addCleanup(self.host.run, 'systemctl disable --now vgpu-worker vgpu-jobs')
        self.host.check(f'cp {CONFIGURATION} /root/right; printf "%s\\n" "worker = B=127.0.0.1:5555" '
                        f'"worker-credentials = /etc/vgpu/host.pem" >>{CONFIGURATION}; systemctl reload mediator')
        self.addCleanup(self.host.run, f'cp /root/right {CONFIGURATION}; systemctl reload mediator')
        wait_until(lambda: '[WORKER] 127.0.0.1:5555: it has 1 GPU' in self.host.journal('mediator'), 'the worker is there')
        self.host.check('vgpu-admin set-pool user:1000 B')
        # The handshake with a worker has a limit that an emulated processor may not keep to.
        wait_until(lambda: self.host.run_as('alice', f'{TESTS}/vector_add 1000').status == 0, 'programs work')
        self.host.copy_loop('alice', '/tmp/remote')
        self.addCleanup(self.host.run, 'pkill -x copy_loop')
        journal = self.host.journal('vgpu-worker')
        self.assertRegex(journal, r'pool=B user:1000: executor pid \d+')
        executor, = self.host.executors()
        self.executor_confined(executor, WORKER_EXECUTORS_FIRST)
        # CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID
        self.confined(self.host.show('vgpu-worker', 'MainPID'), (0, 1, 3, 5, 6, 7))

        self.host.check('vgpu-admin register-vm 0a0b0c0d-1111-2222-3333-444455556666 web --vm-id 7 --pool B')
        self.host.check('echo \'VGPU_JOBS_OPTIONS="--listen unix:/run/vgpu-jobs/socket --vm 127.0.0.1=7 --listen 127.0.0.1:5000"\' '
                        '>/etc/vgpu/jobs.conf && systemctl enable --now vgpu-jobs')
        for where in ('127.0.0.1:5000', 'unix:/run/vgpu-jobs/socket'):
            job = self.host.run(f'{TESTS}/vgpu-run --to {where} vector_add 27182,1 81828,2')
            self.assertEqual((job.status, job.output), (0, '{"result":[109010,3]}\n'))
        # The socket is its own users'.
        self.assertNotEqual(self.host.run_as('nora', f'{TESTS}/vgpu-run --to unix:/run/vgpu-jobs/socket reduce 1,2').status, 0)
        self.confined(self.host.show('vgpu-jobs', 'MainPID'), ())
        journal = self.host.journal('vgpu-jobs')
        self.assertIn('Received GPU request from ', journal)
        self.assertRegex(self.host.journal('mediator'), r'vm_id=7 .*pool=B')
        # What they are about is in no line.
        self.assertEqual(self.host.run('journalctl -b -o cat | grep -E "27182|81828|109010"').output, '')

        # However often it ends, it is started again, and serves new programs.
        for _ in range(6):
            pid = self.host.show('vgpu-worker', 'MainPID')
            self.host.check(f'kill -9 {pid}')
            wait_until(lambda p=pid: self.host.show('vgpu-worker', 'MainPID') not in ('0', p), 'systemd starts it again')
        wait_until(lambda: self.host.show('vgpu-worker', 'ActiveState') == 'active', 'it listens')
        wait_until(lambda: 'ended' in self.host.read('/tmp/remote'), 'its program ends')
        self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', self.host.read('/tmp/remote'))
        wait_until(lambda: self.host.run_as('alice', f'{TESTS}/vector_add 1000').status == 0, 'programs work')
        self.host.check('vgpu-admin set-pool user:1000 A')

    def test_zz_reboot(self):
        """
        What keeps programs for the next mediator does not keep the host from going down; what was enabled is there when the
        host is again, also where its settings are on a file system that comes late, and sockets of before are in nobody's way.
        """
        self.host.check('mkdir -p /etc/systemd/system.conf.d && printf "[Manager]\\nDefaultTimeoutStopSec=3600\\n" '
                        '>/etc/systemd/system.conf.d/patience.conf && systemctl daemon-reload')
        self.host.check(f'echo "keep = 3600" >>{CONFIGURATION} && systemctl restart mediator')
        self.host.copy_loop('alice', '/tmp/last')
        self.host.check('umask 077; echo "psk $(openssl rand -hex 32)" >/etc/vgpu/worker.pem; umask 022; '
                        f'echo \'VGPU_WORKER_OPTIONS="--driver {SOFTGPU}"\' >/etc/vgpu/worker.conf; systemctl enable vgpu-worker')
        self.host.put('/etc/systemd/system/late.service', b'[Service]\nType=oneshot\nExecStart=sleep 30\n')
        self.host.put('/etc/systemd/system/etc-vgpu.mount',
                      b'[Unit]\nRequires=late.service\nAfter=late.service\n[Mount]\nWhat=/srv/vgpu\nWhere=/etc/vgpu\nType=none\n'
                      b'Options=bind,nofail\n[Install]\nWantedBy=multi-user.target\n')
        self.host.check('systemctl enable etc-vgpu.mount && mkdir -p /srv && mv /etc/vgpu /srv/vgpu && mkdir /etc/vgpu')
        self.host.check('(sleep 1; systemctl reboot) >/dev/null 2>&1 &')
        self.host.rebooted(2 * hosts.PATIENCE)
        for unit in ('mediator', 'vgpu-worker'):
            wait_until(lambda u=unit: self.host.show(u, 'ActiveState') == 'active', 'it is started')
            self.assertEqual(self.host.show(unit, 'NRestarts'), '0')
        self.computes()


if __name__ == '__main__':
    tap.main()
