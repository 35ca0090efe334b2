# SPDX-License-Identifier: Apache-2.0
"""A virtual machine whose pool has two GPUs: each process sees one, and the same one through CUDA and NVML."""

import json
import unittest

import guest as machines
import tap
from stack import Mediator, build_directory, wait_until
from test_computing import LIBRARY, end_to_end_programs

BUILD = build_directory()
DEVICES = 'export VGPU_TEST_NVML=libnvidia-ml.so.1; '
MIB = 1 << 20


@unittest.skipIf(not end_to_end_programs(), 'no cmocka')
class TwoGpus(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        files = [LIBRARY, f'{BUILD}/guest/libnvml/libnvidia-ml.so.1:lib/libnvidia-ml.so.1',
                 f'{BUILD}/tests/end_to_end/devices:bin/devices', end_to_end_programs()[0]]
        cls.mediator = Mediator(environment={'SOFTGPU_DEVICES': '2', 'SOFTGPU_MEMORY_BYTES': str(256 * MIB)}).start()
        cls.addClassCleanup(cls.mediator.__exit__)
        cls.guest = machines.Guest(vm_id=1, image=machines.build_image(files), socket=str(cls.mediator.socket),
                                   name='red')
        cls.addClassCleanup(cls.guest.stop)
        cls.guest.start()
        for gpu in '0', '1':
            wait_until(lambda: len(cls.mediator.admin('scan-gpus')) == 2, 'the GPUs are known')
            cls.mediator.admin('assign-gpu', gpu, 'A')

    def look(self, order, count=1):
        """What so many processes at a time see, one begun when the one before has looked."""
        lines = ''.join(f'(sleep 600) | devices look {order} > /tmp/look{i} & '
                        f'for i in $(seq 300); do grep -q later /tmp/look{i} && break; sleep 0.2; done; '
                        for i in range(count))
        result = self.guest.run(f'{DEVICES}rm -f /tmp/look*; {lines} cat /tmp/look*; kill $(pidof sleep) $(pidof devices)',
                                timeout=240)
        found = [json.loads(line) for line in result.output.splitlines() if line.startswith('{')]
        self.assertEqual(len(found), count, result.output)
        # Their channels are closed before the next ones look.
        wait_until(lambda: all(gpu['programs'] == 0 for gpu in self.mediator.admin('scan-gpus')), 'they are gone', 60)
        return found

    def test_cuda_first(self):
        seen = self.look('c', 3)
        for process in seen:
            self.assertEqual((len(process['cuda']), process['later']), (1, process['cuda']), seen)
        self.assertEqual(len({process['cuda'][0] for process in seen}), 2, 'they are spread')

    def test_nvml_first(self):
        """What NVML has shown before CUDA started is one GPU too, and afterwards it is CUDA's."""
        seen = self.look('nc', 3)
        for process in seen:
            self.assertEqual((len(process['nvml']), len(process['cuda'])), (1, 1), seen)
            self.assertEqual(process['later'], process['cuda'], seen)
        self.mediator.wait_for_line('which NVML is to show')

    def test_without_cuda(self):
        """As nvidia-smi: the GPU that the VM's programs are on."""
        result = self.guest.run(f'{DEVICES}for i in 1 2 3; do (sleep 600) | devices look c > /tmp/look$i & '
                                'for j in $(seq 300); do grep -q later /tmp/look$i && break; sleep 0.2; done; done; '
                                'for i in 1 2 3 4; do echo | devices look n; done; cat /tmp/look1 /tmp/look2 /tmp/look3; '
                                'kill $(pidof sleep) $(pidof devices)', timeout=240)
        found = [json.loads(line) for line in result.output.splitlines() if line.startswith('{')]
        self.assertEqual(len(found), 7, result.output)
        programs = [process['cuda'][0] for process in found[4:]]
        most = max(programs, key=programs.count)
        self.assertEqual(programs.count(most), 2)
        for process in found[:4]:
            self.assertEqual((process['nvml'], process['later']), ([most], [most]), found)


if __name__ == '__main__':
    tap.main()
