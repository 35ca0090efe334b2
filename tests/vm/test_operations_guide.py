# SPDX-License-Identifier: Apache-2.0
"""Walks the operations guide: what its steps 1, 3 and 4 tell an operator to look for, on the running system."""

import re
import stat
import subprocess
import unittest

import guest as machines
import tap
from stack import ROOT, Mediator, build_directory, wait_until

BUILD = build_directory()
DEVICE_LINE = 'name "vgpu-cuda", bus PCI, desc "Virtual GPU (MMIO + BAR1 + CUDA Remoting)"'


class OperationsGuide(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        image = machines.build_image([f'{BUILD}/guest/libcuda/libcuda.so.1:lib/libcuda.so.1',
                                      f'{BUILD}/examples/vector_add:bin/vector_add'])
        cls.mediator = Mediator().start()
        cls.addClassCleanup(cls.mediator.__exit__)
        cls.guest = machines.Guest(vm_id=7, image=image, socket=str(cls.mediator.socket), name='guide', trace=True)
        cls.addClassCleanup(cls.guest.stop)
        cls.guest.start()
        cls.first = cls.guest.run('vector_add 5000', timeout=120)

    def test_1_1_mediator_is_running(self):
        listing = subprocess.run(['ps', 'aux'], capture_output=True, text=True, check=True).stdout
        self.assertRegex(listing, rf'(?m)^\S+ +{self.mediator.process.pid} .*mediator_phase3')

    def test_1_2_qemu_has_the_device(self):
        listing = subprocess.run([ROOT / 'host/qemu/vgpu-qemu', '-device', 'help'], capture_output=True, text=True,
                                 check=True, env=self.guest._environment)
        found = [line for line in (listing.stdout + listing.stderr).splitlines() if 'vgpu' in line.lower()]
        self.assertEqual(found, [DEVICE_LINE])

    def test_1_3_socket_exists(self):
        mode = self.mediator.socket.stat().st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertRegex(stat.filemode(mode), r'^srw-rw')

    def test_3_1_log_of_the_start(self):
        for line in (r'CUDA initialized', r'Found [1-9]\d* QEMU VMs with vgpu-cuda devices',
                     rf'Listening on socket: {re.escape(str(self.mediator.socket))}', r'\[HEARTBEAT\] alive',
                     r'\[SOCKET\] New connection', r'Total processed: \d+'):
            with self.subTest(line=line):
                self.mediator.wait_for_line(line)

    def test_3_2_systemd_unit(self):
        unit = ROOT / 'packaging' / 'systemd' / 'mediator.service'
        text = unit.read_text()
        for setting in ('Type=', 'ExecStart=', 'Restart=always', 'RestartSec=5', 'WantedBy=multi-user.target'):
            self.assertIn(setting, text)
        # The program is not installed here: the unit is checked with the one that was built.
        checked = self.mediator.directory / 'mediator.service'
        program = BUILD / 'host/mediator/mediator_phase3'
        checked.write_text(re.sub(r'^ExecStart=\S+', f'ExecStart={program}', text, flags=re.M))
        done = subprocess.run(['systemd-analyze', 'verify', checked], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn('mediator.service', done.stderr)

    def test_4_0_program_in_the_guest(self):
        self.assertEqual(self.first.status, 0, self.first.output)
        self.assertIn('[5, 7, 9]', self.first.output)

    def test_4_1_mediator_log(self):
        for line in (r'\[CONNECTION\] New connection.*vm_id=7', r'Pool A processed: [1-9]\d*',
                     r'Total processed: [1-9]\d*', r'\[cuda-executor\] cuMemAlloc: allocating \d+ bytes',
                     r'\[cuda-executor\] cuMemAlloc SUCCESS'):
            with self.subTest(line=line):
                self.mediator.wait_for_line(line)

    def test_4_2_device_log(self):
        log = self.guest.qemu_output()
        for line in ('CUDA DOORBELL RING', 'PROCESSING CUDA DOORBELL', 'SENDING CUDA CALL to mediator',
                     'CUDA CALL SENT to mediator'):
            self.assertIn(f'[vgpu] vm_id=7: {line}', log)

    def test_4_3_counters_increase(self):
        def last(name):
            found = re.findall(rf'{name} processed: (\d+)', self.mediator.text())
            return int(found[-1]) if found else 0
        before = last('Total'), last('Pool A')
        self.assertEqual(self.guest.run('vector_add 1000', timeout=120).status, 0)
        wait_until(lambda: last('Total') > before[0] and last('Pool A') > before[1], 'the counters increase')


if __name__ == '__main__':
    tap.main()
