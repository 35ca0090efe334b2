# SPDX-License-Identifier: Apache-2.0
"""Virtual machines without a GPU compute: programs, two at once, and what one VM's accidents do to the other."""

import concurrent.futures
import ctypes.util
import re
import signal
import subprocess
import unittest

import guest as machines
import tap
from stack import ROOT, Mediator, build_directory, wait_until

BUILD = build_directory()
# What tests/programs/build.sh ends with.
NO_COMPILER = 77
LIBRARY = f'{BUILD}/guest/libcuda/libcuda.so.1:lib/libcuda.so.1'


def tap_verdict(text):
    """(passed, failed lines) of a TAP output."""
    lines = text.splitlines()
    return sum(line.startswith('ok ') for line in lines), [line for line in lines if line.startswith('not ok')]


def runtime_programs():
    """The folder of CUDA runtime programs (tests/programs) compiled by nvcc; None where there is no nvcc."""
    folder = BUILD / 'tests' / 'programs' / 'nvcc'
    done = subprocess.run([ROOT / 'tests/programs/build.sh', folder], capture_output=True, text=True, check=False)
    if done.returncode == NO_COMPILER:
        return None
    if done.returncode:
        raise AssertionError(f'build.sh ended with {done.returncode}: {done.stdout[-1000:]}{done.stderr[-2000:]}')
    return folder


def end_to_end_programs():
    """Files of the guest for programs of tests/end_to_end that need cmocka; none where it is missing."""
    cmocka = ctypes.util.find_library('cmocka')
    programs = [BUILD / 'tests' / 'end_to_end' / name
                for name in ('host_functions', 'ipc', 'managed_memory', 'managed_variables', 'registered_memory',
                             'registered_stack', 'registered_threads', 'batches', 'shared_allocation', 'shared_pool', 'graph_copies',
                             'graph_captures')]
    if not cmocka or not all(program.exists() for program in programs):
        return []
    library = subprocess.run(['sh', '-c', f'ldconfig -p | sed -n "s|.*{cmocka} .*x86-64.* => ||p" | head -n 1'],
                             capture_output=True, text=True, check=True).stdout.strip()
    return [f'{library}:lib/{cmocka}'] + [f'{program}:bin/{program.name}' for program in programs]


class TwoMachines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        ptx = sorted((ROOT / 'tests/kernels/ptx').glob('*.ptx'))
        files = [LIBRARY, f'{BUILD}/tests/kernels/kernels_run:bin/kernels_run',
                 f'{BUILD}/tests/end_to_end/copy_loop:bin/copy_loop', f'{BUILD}/tests/vm/vgpu_probe:bin/vgpu_probe',
                 f'{BUILD}/bench/tenant:bin/tenant',
                 f'{ROOT}/tests/programs/run.sh:bin/run_programs']
        files += [f'{BUILD}/guest/libnvml/libnvidia-ml.so.1:lib/libnvidia-ml.so.1',
                  f'{BUILD}/tests/nvml/use:bin/nvml_use']
        files += [f'{BUILD}/examples/{name}:bin/{name}' for name in ('vector_add', 'matrix_product')]
        files += [f'{path}:ptx/{path.name}' for path in ptx]
        files += end_to_end_programs()
        cls.programs = runtime_programs()
        if cls.programs:
            files += [f'{path}:programs/{path.relative_to(cls.programs)}'
                      for path in sorted(cls.programs.rglob('*')) if path.is_file()]
        image = machines.build_image(files)
        cls.mediator = Mediator().start()
        cls.addClassCleanup(cls.mediator.__exit__)
        cls.red = machines.Guest(vm_id=1, image=image, socket=str(cls.mediator.socket), name='red', memory_mib=1024)
        cls.blue = machines.Guest(vm_id=2, image=image, socket=str(cls.mediator.socket), name='blue', pool_id='B')
        for guest in (cls.red, cls.blue):
            cls.addClassCleanup(guest.stop)
            guest.start()

    def test_both_at_once(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            runs = [pool.submit(guest.run, 'vector_add 200000', 180) for guest in (self.red, self.blue)]
            for run in runs:
                self.assertEqual(run.result().status, 0, run.result().output)
                self.assertIn('[5, 7, 9]', run.result().output)

    def test_matrix_product(self):
        result = self.red.run('matrix_product', timeout=180)
        self.assertEqual(result.status, 0, result.output)

    def test_four_processes_in_one_machine(self):
        each = ' '.join(f'(vector_add 20000; echo "ended with $?") > /tmp/out{i} 2>&1 &' for i in range(4))
        output = self.red.run(f'{each} wait; cat /tmp/out?', timeout=180).output
        self.assertEqual(output.count('ended with 0'), 4, output)

    def test_telemetry(self):
        """NVML lists the machine's own processes by their ids in it, and nothing of the other machine."""
        listing = 'export VGPU_TEST_NVML=libnvidia-ml.so.1; nvml_use list'
        holding = ('(echo held > /tmp/none; sleep 60) | nvml_use hold 33554432 > /tmp/held & '
                   'for i in $(seq 100); do grep -q held /tmp/held && break; sleep 0.2; done; '
                   'echo "holder $(pidof nvml_use)"; ')
        red = self.red.run(holding + listing + '; kill $(pidof nvml_use)', timeout=120)
        self.assertRegex(red.output, r'holder (\d+)\s+\1 33554432')
        both = self.red.run(holding + 'echo ready', timeout=120)
        self.assertIn('ready', both.output)
        blue = self.blue.run(listing, timeout=60)
        self.assertEqual((blue.status, blue.output.strip()), (0, ''))
        self.red.run('kill $(pidof nvml_use)')

    def test_host_functions(self):
        if not end_to_end_programs():
            self.skipTest('no cmocka')
        for command in ('host_functions', 'host_functions exit'):
            result = self.red.run(command, timeout=180)
            self.assertEqual(result.status, 0, result.output)

    def test_memory(self):
        """Memory that program and device see at one address, and memory that two programs share."""
        if not end_to_end_programs():
            self.skipTest('no cmocka')
        for program in ('managed_memory', 'managed_variables', 'registered_memory machine', 'registered_stack machine',
                        'registered_threads', 'batches', 'shared_allocation', 'shared_pool'):
            result = self.red.run(program, timeout=180)
            self.assertEqual(result.status, 0, f'{program}: {result.output}')

    def test_memory_of_an_ordinary_user(self):
        """Who is not root may stop the threads of his own program only where Yama lets him say who may."""
        if not end_to_end_programs():
            self.skipTest('no cmocka')
        setting = '/proc/sys/kernel/yama/ptrace_scope'
        before = self.red.run(f'cat {setting}').output.strip()
        if not before:
            self.skipTest('no Yama')
        try:
            for scope in 0, 1:
                result = self.red.run(f'echo {scope} > {setting} && su user -c registered_threads', timeout=180)
                self.assertEqual(result.status, 0, f'ptrace_scope {scope}: {result.output}')
        finally:
            self.red.run(f'echo {before} > {setting}')

    def test_copies_of_graphs(self):
        if not end_to_end_programs():
            self.skipTest('no cmocka')
        for command in ('graph_copies', 'graph_captures'):
            result = self.red.run(command, timeout=300)
            self.assertEqual(result.status, 0, result.output)

    def test_sharing_stays_in_its_machine(self):
        if not end_to_end_programs():
            self.skipTest('no cmocka')
        result = self.red.run('(sleep 100 | ipc give /tmp/handles > /tmp/given) & for i in $(seq 100); do '
                              'grep -q given /tmp/given && break; sleep 0.2; done; cat /tmp/given', timeout=120)
        self.assertIn('given', result.output)
        self.blue.put('/tmp/handles', self.red.get('/tmp/handles'))
        refused = self.blue.run('ipc take /tmp/handles', timeout=120)
        self.assertEqual(refused.status, 2, refused.output)
        shared = self.red.run('ipc take /tmp/handles', timeout=120)
        self.assertEqual(shared.status, 0, shared.output)
        self.red.run('kill $(pidof sleep) $(pidof ipc)')

    def test_kernels(self):
        result = self.red.run('kernels_run /ptx', timeout=280)
        passed, failed = tap_verdict(result.output)
        self.assertEqual(failed, [], result.output[-3000:])
        self.assertEqual(result.status, 0, result.output[-3000:])
        self.assertGreaterEqual(passed, 25)

    def test_runtime_programs(self):
        """Unmodified programs with static and with shared cudart."""
        if not self.programs:
            self.skipTest('nvcc does not compile here')
        result = self.red.run('PROGRAM_SECONDS_MAX=60 run_programs /programs', timeout=400)
        passed, failed = tap_verdict(result.output)
        self.assertEqual(failed, [], result.output)
        self.assertEqual(result.status, 0, result.output)
        skipped = [line for line in result.output.splitlines() if '# SKIP' in line]
        for line in skipped:
            print(f'# {line}')
        self.assertGreaterEqual(passed - len(skipped), 30, result.output)

    def test_ordinary_user(self):
        result = self.blue.run('su user -c "id -u; vector_add 1000"', timeout=120)
        self.assertIn('1000', result.output.splitlines()[0])
        self.assertEqual(result.status, 0, result.output)

    def test_scribbler_beside_a_computing_machine(self):
        """An ordinary user writes garbage into the ring that it has from /dev/vgpu0."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            computing = pool.submit(self.blue.run, 'for i in 1 2 3 4 5; do vector_add 100000 || exit 1; done', 180)
            scribbling = pool.submit(self.red.run, 'su user -c "vgpu_probe scribble 4"', 180)
            self.assertEqual(scribbling.result().status, 0, scribbling.result().output)
            self.assertEqual(computing.result().status, 0, computing.result().output)
        self.assertIn('scribbled as user 1000', scribbling.result().output)
        self.mediator.wait_for_rest()
        result = self.red.run('vector_add 1000', timeout=120)
        self.assertEqual(result.status, 0, result.output)

    def copy_loop_start(self, guest):
        """Leaves copy_loop running in the guest, its output in /tmp/loop and its process id in /tmp/pid."""
        guest.check('rm -f /tmp/loop; copy_loop > /tmp/loop 2>&1 & echo $! > /tmp/pid; '
                    'for i in $(seq 300); do grep -q copying /tmp/loop 2>/dev/null && exit 0; sleep 0.2; done; exit 1',
                    timeout=90)

    def test_killed_in_a_copy_frees_everything(self):
        self.mediator.wait_for_rest()
        descriptors = self.mediator.file_descriptors()
        for _ in range(3):
            self.copy_loop_start(self.red)
            self.red.check('kill -9 $(cat /tmp/pid)')
        result = self.blue.run('vector_add 20000', timeout=120)
        self.assertEqual(result.status, 0, result.output)
        self.mediator.wait_for_rest()
        wait_until(lambda: self.mediator.file_descriptors() <= descriptors, 'descriptors are given back')

    @staticmethod
    def copied(guest):
        """How many rounds of its copy_loop were right so far; the program must be running."""
        before = guest.check('wc -l </tmp/loop; kill -USR1 $(cat /tmp/pid)').output
        guest.check(f'for i in $(seq 300); do [ $(wc -l </tmp/loop) -gt {int(before)} ] && exit 0; sleep 0.2; done; '
                    'cat /tmp/loop; exit 1', timeout=90)
        return int(guest.check('tail -n 1 /tmp/loop').output.split()[0])

    def restart(self, how, *options):
        """The mediator starts with other options, and both guests compute with it."""
        self.mediator.stop(how)
        self.mediator.options = options
        self.mediator.start()
        for guest in (self.red, self.blue):
            wait_until(lambda: guest.run('vector_add 1000', timeout=60).status == 0, 'it computes with this mediator', 90)

    def programs_end(self):
        """However the test went: what it left running is gone, and the mediator keeps nothing."""
        for guest in (self.red, self.blue):
            guest.run('kill -9 $(pidof copy_loop tenant)')
        self.restart(signal.SIGINT)

    def test_y_programs_go_on_across_a_restart(self):
        """With 'keep' what runs in both goes on while there is no mediator, and with the next one: every bit is compared."""
        guests = self.red, self.blue
        self.addCleanup(self.programs_end)
        self.restart(signal.SIGTERM, '--keep', '180')
        for guest in guests:
            self.copy_loop_start(guest)
            guest.check('tenant check --blocks 2 --to 1e9 >/tmp/check 2>&1 & echo $! >/tmp/check.pid')
        wait_until(lambda: re.search(r'(?s)\(tenant\) connected.*\(tenant\) connected', self.mediator.text()),
                   'both are connected', 90)
        for how in signal.SIGTERM, signal.SIGKILL:
            self.mediator.stop(how)
            alone = [self.copied(guest) for guest in guests]
            log_bytes = len(self.mediator.text())
            self.mediator.start()
            wait_until(lambda: 'adopted 2 connections and 4 executors' in self.mediator.text()[log_bytes:], 'adopted')
            for guest, before in zip(guests, alone):
                wait_until(lambda: self.copied(guest) >= before + 2, 'it copies on', 90)
        for guest in guests:
            # The next one and the adopted ones share the GPU.
            result = guest.run('vector_add 20000', timeout=120)
            self.assertEqual(result.status, 0, result.output)
            guest.check('kill -INT $(cat /tmp/pid) $(cat /tmp/check.pid); '
                        'while [ -d /proc/$(cat /tmp/pid) ] || [ -d /proc/$(cat /tmp/check.pid) ]; do sleep 0.2; done',
                        timeout=90)
            self.assertRegex(guest.run('cat /tmp/loop').output, r'rounds\s*$')
            self.assertRegex(guest.run('cat /tmp/check').output, r'"rounds": [1-9]\d*, "wrong": 0')
        wait_until(lambda: 'executor pid' in self.mediator.text() and not self.mediator.executors(), 'all have ended')

    def test_z_mediator_restarts_under_both(self):
        """Last: programs that run get an error, new ones work as soon as the mediator is back."""
        self.copy_loop_start(self.red)
        self.mediator.stop()
        wait_until(lambda: 'CUDA_ERROR' in self.red.run('cat /tmp/loop').output, 'the program gets an error')
        result = self.blue.run('vector_add 1000', timeout=60)
        self.assertNotEqual(result.status, 0)
        self.mediator.start()
        for guest in (self.red, self.blue):
            wait_until(lambda: guest.run('vector_add 1000', timeout=60).status == 0, 'it computes again')


if __name__ == '__main__':
    tap.main()
