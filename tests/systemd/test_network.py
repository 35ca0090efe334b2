# SPDX-License-Identifier: Apache-2.0
"""What needs a kernel with vsock_loopback and netem: jobs over vsock, and a worker behind a network that delays."""

import json
import os
import subprocess
import unittest

import guest as machines
import host as hosts
import tap
from host import CONFIGURATION, SOFTGPU, TESTS, wait_until

NEAR, FAR = '10.79.0.1', '10.79.0.2'
# Each way.
DELAYS_MS = (0, 0.1, 1, 10)
COUNT = 200
# The machine's own context (vsock(7)).
LOOPBACK, PORT = 1, 5000
ROWS = ('launch_and_synchronize_ms', 'copy_word_back_ms', 'launches_issued_ms', 'launches_done_ms', 'copies_issued_ms',
        'copies_done_ms', 'fills_issued_ms', 'fills_done_ms', 'to_device_mb_s', 'back_mb_s')


class Network(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = hosts.Host('bookworm')
        cls.addClassCleanup(cls.host.stop)
        cls.host.start()
        cls.host.install()
        for module in ('vsock_loopback', 'veth', 'sch_netem'):
            cls.module_load(module)
        cls.host.check('systemctl start mediator')

    @classmethod
    def module_load(cls, name):
        """With what it depends on; the host's disk has none of the kernel's."""
        kernel = machines.run_script([machines.script('guest/image/fetch-kernel.sh'), machines.CACHE])
        with open(os.path.join(kernel, 'release'), encoding='ascii') as file:
            release = file.read().strip()
        done = subprocess.run(['modprobe', '-d', f'{kernel}/root', '-S', release, '--show-depends', name], check=True,
                              capture_output=True, text=True, env={**os.environ, 'PATH': '/usr/sbin:/sbin:/usr/bin:/bin'})
        for line in done.stdout.splitlines():
            words = line.split()
            if words[0] != 'insmod':
                continue
            file = os.path.basename(words[1])
            if cls.host.run(f'grep -q "^{file.split(".")[0].replace("-", "_")} " /proc/modules').status:
                with open(words[1], 'rb') as content:
                    cls.host.put(f'/tmp/{file}', content.read())
                cls.host.check(f'insmod /tmp/{file}')

    def jobs_start(self, *options):
        self.host.check(f'echo \'VGPU_JOBS_OPTIONS="--listen vsock:{PORT} {" ".join(options)}"\' >/etc/vgpu/jobs.conf && '
                        'systemctl restart vgpu-jobs')

    def job(self, user, *words):
        command = f'{TESTS}/vgpu-run --to vsock:{LOOPBACK}:{PORT} ' + ' '.join(words)
        result = self.host.run_as(user, command) if user else self.host.run(command)
        return result.status, result.output

    def test_jobs_over_vsock(self):
        """Anybody on the machine may connect: whose the jobs are the context says."""
        self.addCleanup(self.host.run, 'systemctl stop vgpu-jobs; rm -f /etc/vgpu/jobs.conf')
        self.host.check('vgpu-admin register-vm 0a0b0c0d-1111-2222-3333-444455556666 web --vm-id 7')
        self.jobs_start(f'--vm vsock:{LOOPBACK}=7')
        for user in (None, 'nora'):
            self.assertEqual(self.job(user, 'vector_add', '1,2,3', '4,5,6'), (0, '{"result":[5,7,9]}\n'))
        self.assertEqual(self.job(None, 'json', '\'{"operation":"dot","array_a":[1,2],"array_b":[3,4]}\''),
                         (0, '{"result":11}\n'))
        status, output = self.job(None, 'json', '\'{"operation":"none"}\'')
        self.assertNotEqual(status, 0)
        self.assertIn('error', output)
        # More than one packet each way.
        count = 15000
        status, output = self.job(None, 'vector_add', f'$(seq -s, {count})', f'$(seq -s, {count})')
        self.assertEqual((status, json.loads(output)), (0, {'result': list(range(2, 2 * count + 1, 2))}))
        journal = self.host.journal('vgpu-jobs')
        self.assertIn(f'Received GPU request from VM of context {LOOPBACK}', journal)
        self.assertIn(f'Sent response to VM of context {LOOPBACK}', journal)
        self.assertIn('vm_id=7 ', self.host.journal('mediator'))

        # Eight at once, and who goes away in between is in nobody's way.
        one = f'{TESTS}/vgpu-run --to vsock:{LOOPBACK}:{PORT} reduce 1,2,3'
        result = self.host.check(f'for i in 1 2 3 4 5 6 7 8; do {one} >/tmp/answer.$i & done; wait; cat /tmp/answer.*')
        self.assertEqual(result.output, '{"result":6}\n' * 8)
        self.host.check(f'for i in 1 2 3 4; do timeout -s KILL 0.$i {one} >/dev/null 2>&1; done; true')
        self.assertEqual(self.job(None, 'reduce', '1,2,3'), (0, '{"result":6}\n'))

        # Who has no number there is served too, as its user.
        self.jobs_start()
        self.assertEqual(self.job('nora', 'reduce', '4,5'), (0, '{"result":9}\n'))

    def measure(self, environment=''):
        result = self.host.run_as('alice', f'env {environment} {TESTS}/round_trips')
        self.assertEqual(result.status, 0, result.output)
        return json.loads(result.output)

    def test_worker_behind_a_delay(self):
        """What needs no answer does not wait for the network; what needs one pays one round trip."""
        run = self.host.check
        run(f'ip netns add far && ip link add near type veth peer name far netns far && ip addr add {NEAR}/24 dev near && '
            f'ip link set near up && ip -n far addr add {FAR}/24 dev far && ip -n far link set far up && '
            'ip -n far link set lo up')
        run('umask 077; echo "psk $(openssl rand -hex 32)" >/etc/vgpu/worker.pem; umask 022; '
            f'echo \'VGPU_WORKER_OPTIONS="--driver {SOFTGPU}"\' >/etc/vgpu/worker.conf; '
            'mkdir -p /run/systemd/system/vgpu-worker.service.d; printf "[Service]\\nNetworkNamespacePath=/run/netns/far\\n" '
            '>/run/systemd/system/vgpu-worker.service.d/far.conf; systemctl daemon-reload; systemctl start vgpu-worker')
        self.addCleanup(self.host.run, 'systemctl stop vgpu-worker; rm -r /run/systemd/system/vgpu-worker.service.d; '
                        f'ip netns del far; cp /root/right {CONFIGURATION}; systemctl daemon-reload; systemctl reload mediator; '
                        'vgpu-admin set-pool user:1000 A')
        local = self.measure()
        run(f'cp {CONFIGURATION} /root/right; sed -i s/^tenant/#tenant/ {CONFIGURATION}; '
            f'echo "worker = B={FAR}:5555" >>{CONFIGURATION}; systemctl reload mediator; vgpu-admin set-pool user:1000 B')
        wait_until(lambda: 'it has 1 GPU' in self.host.journal('mediator'), 'the worker is there')
        # The handshake with a worker has a limit that an emulated processor may not keep to.
        wait_until(lambda: self.host.run_as('alice', f'{TESTS}/vector_add 1000').status == 0, 'programs work')
        rows = {'executor here': local}
        for delay in DELAYS_MS:
            for place in ('dev near', 'dev far'):
                command = f'tc qdisc replace {place} root netem delay {delay}ms limit 100000'
                run(f'ip netns exec far {command}' if 'far' in place else command)
            row = rows[f'worker, {delay} ms'] = self.measure()
            round_trip = 2 * delay
            # The delay is there.
            for name in ('launch_and_synchronize_ms', 'copy_word_back_ms'):
                self.assertGreater(row[name], round_trip)
            # Calls that wait take as long as so many that need an answer, however busy the machine is. Below that, it is
            # the processor's time that is compared, not the network's.
            if delay >= 1:
                for kind in ('launches', 'copies', 'fills'):
                    self.assertLess(row[f'{kind}_done_ms'], COUNT * row['launch_and_synchronize_ms'] / 4, (kind, row))
            if delay == max(DELAYS_MS):
                self.assertLess(row['launches_done_ms'], COUNT * round_trip / 4, row)
        # Such do.
        blocking = self.measure('CUDA_LAUNCH_BLOCKING=1')
        self.assertGreater(blocking['launches_done_ms'], COUNT * round_trip)
        print('# | |', ' | '.join(rows), '|\n# |---|' + '---|' * len(rows))
        for name in ROWS:
            print(f'# | {name} |', ' | '.join(str(row[name]) for row in rows.values()), '|')


if __name__ == '__main__':
    tap.main()
