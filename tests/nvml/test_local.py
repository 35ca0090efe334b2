# SPDX-License-Identifier: Apache-2.0
"""libnvidia-ml.so.1 over the local transport: forwarding to a fake library, the tenant's view of the software GPU."""

import os
import re
import shutil
import subprocess
import unittest

import tap
from stack import ROOT, Mediator, WithMediator, build_directory, wait_until

BUILD = build_directory()
LIBRARY = BUILD / 'guest' / 'libnvml' / 'libnvidia-ml.so.1'
FAKE = BUILD / 'tests' / 'nvml'
STRICT_DRIVER = BUILD / 'tests' / 'executor' / 'libstrict_driver.so'
PROGRAMS = BUILD / 'tests' / 'nvml'


def passes(test, mediator, *command, **environment):
    done = mediator.run(*command, VGPU_TEST_NVML=str(LIBRARY), CMOCKA_MESSAGE_OUTPUT='TAP', **environment)
    test.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{mediator.text()[-4000:]}')
    return done.stdout


class Forwarding(unittest.TestCase):
    def test_every_function(self):
        with Mediator('--executor-environment', 'LD_LIBRARY_PATH', driver=STRICT_DRIVER,
                      environment={'LD_LIBRARY_PATH': str(FAKE)}) as mediator:
            passes(self, mediator, PROGRAMS / 'test_forwarding')


class HostProcesses(unittest.TestCase):
    """The host's library lists every process there is; the guest sees its own, by its own ids."""

    def test_own_processes_with_the_librarys_figures(self):
        variables = ('LD_LIBRARY_PATH', 'FAKE_NVML_ANY_VALUES')
        with Mediator(*(word for name in variables for word in ('--executor-environment', name)), driver=STRICT_DRIVER,
                      environment={'LD_LIBRARY_PATH': str(FAKE), 'FAKE_NVML_ANY_VALUES': '1'}) as mediator:
            environment = {'VGPU_TEST_NVML': str(LIBRARY)}
            self.assertIn('result 6', mediator.run(PROGRAMS / 'use', 'busy', **environment).stdout)
            holder = subprocess.Popen([str(PROGRAMS / 'use'), 'hold', '65536'], env=mediator.client_environment(),
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.assertEqual(holder.stdout.readline(), 'held\n')
            listed = mediator.run(PROGRAMS / 'use', 'list', **environment).stdout
            self.assertEqual(listed, f'{holder.pid} {1 << 20}\n')
            busy = mediator.run(PROGRAMS / 'use', 'busy', **environment).stdout
            self.assertEqual(busy, f'{holder.pid} compute 12 memory 34 encoder 5 decoder 6 at 1001\nresult 0\n')
            holder.communicate('end\n', timeout=60)


class Overhead(unittest.TestCase):
    """What the host's library says that an executor has more after its driver has made a context or loaded a module."""

    def run_use(self, what, *options, growth):
        variables = {'LD_LIBRARY_PATH': str(FAKE), 'FAKE_NVML_ANY_VALUES': '1', 'FAKE_NVML_GROWTH': str(growth)}
        with Mediator(*(word for name in variables for word in ('--executor-environment', name)), *options,
                      driver=STRICT_DRIVER, environment=variables) as mediator:
            done = mediator.run(PROGRAMS / 'use', what)
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{mediator.text()[-3000:]}')
            return done.stdout

    def free(self, *options, **how):
        return [int(word) for word in self.run_use('free', *options, **how).split()]

    def steps(self, *options, **how):
        """[(what was done, its result, bytes)]"""
        lines = [line.split() for line in self.run_use('later', *options, **how).splitlines()]
        return [(name, int(result), int(count)) for name, result, count in lines]

    def test_is_charged(self):
        limit = 16 << 20
        before = self.free('--tenant', f'default memory-mib={limit >> 20}', growth=0)
        self.assertEqual(before, [limit, limit, limit])
        # An unload that leaves the process with more releases nothing.
        after = self.free('--tenant', f'default memory-mib={limit >> 20}', growth=1 << 20)
        self.assertEqual(after, [limit - (1 << 20), limit - (2 << 20), limit - (2 << 20)])

    def test_what_is_loaded_later_is_charged(self):
        """At the first launch of a function, and for a larger stack; a second launch is not looked at."""
        mib = 1 << 20
        steps = self.steps('--tenant', 'default memory-mib=16', growth=mib)
        print(f'# {steps}')
        self.assertEqual([result for _, result, _ in steps], [0] * len(steps))
        free = [count // mib for _, _, count in steps]
        # A context, a module; the function, what it is and its first launch; the stack; another function.
        self.assertEqual(free[:5], [14, 13, 11, 11, 10])
        self.assertEqual(steps[5], ('stack', 0, 65536))
        self.assertEqual(free[6], 9)

    def test_what_is_loaded_later_does_not_go_far_beyond_the_limit(self):
        """One function may, for its load cannot be undone; the next one is refused, and so is a larger stack."""
        mib = 1 << 20
        steps = self.steps('--tenant', 'default memory-mib=4', growth=mib)
        print(f'# {steps}')
        self.assertEqual([(name, result) for name, result, _ in steps],
                         [('module', 0), ('found', 0), ('launched', 0), ('launched', 0), ('larger', 2), ('stack', 0),
                          ('found', 2)])
        self.assertEqual([count // mib for _, _, count in steps], [2, 1, 0, 0, 0, 0, 0])

    def test_is_not_asked_for_without_a_limit(self):
        free = self.free(growth=1 << 20)
        self.assertEqual(free, free[:1] * 3)
        free = [count for name, _, count in self.steps(growth=1 << 20) if name != 'stack']
        self.assertEqual(free, free[:1] * len(free))


class Tenant(WithMediator):
    def test_cuda_and_nvml_in_one_process(self):
        passes(self, self.mediator, PROGRAMS / 'test_tenant')

    def test_telemetry_leaves_the_gpu_alone(self):
        """An executor that serves telemetry is no process on the GPU, and ends with its guest process."""
        passes(self, self.mediator, PROGRAMS / 'use', 'list')
        self.mediator.wait_for_rest()

    def use(self, *arguments, user=None):
        command = [str(PROGRAMS / 'use'), *arguments]
        if user is not None:
            command = ['setpriv', f'--reuid={user}', '--clear-groups', *command]
        return subprocess.Popen(command, env={**self.mediator.client_environment(), 'VGPU_TEST_NVML': str(LIBRARY)},
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def listed(self, **how):
        program = self.use('list', **how)
        output, _ = program.communicate(timeout=60)
        self.assertEqual(program.returncode, 0)
        return {int(pid): int(used) for pid, used in re.findall(r'^(\d+) (\d+)$', output, re.M)}

    def test_processes_of_the_same_tenant(self):
        holder = self.use('hold', str(32 << 20))
        self.assertEqual(holder.stdout.readline(), 'held\n')
        self.assertEqual(self.listed(), {holder.pid: 32 << 20})
        holder.communicate('end\n', timeout=60)
        wait_until(lambda: self.listed() == {}, 'it is not listed any more')

    def test_unused_connection_is_given_back(self):
        self.mediator.wait_for_rest()
        program = self.use('wait')
        self.assertEqual(program.stdout.readline(), 'started\n')
        self.assertEqual(len(self.mediator.executors()), 1)
        self.mediator.wait_for_rest()
        output, _ = program.communicate('ask\n', timeout=60)
        self.assertIn('softgpu', output)
        self.assertEqual(program.returncode, 0)

    def test_restarted_mediator_is_found_again(self):
        with Mediator() as mediator:
            program = subprocess.Popen([str(PROGRAMS / 'use'), 'wait'], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True,
                                       env={**mediator.client_environment(), 'VGPU_TEST_NVML': str(LIBRARY)})
            self.assertEqual(program.stdout.readline(), 'started\n')
            mediator.stop()
            mediator.start()
            output, _ = program.communicate('ask\n', timeout=60)
            self.assertIn('softgpu', output)

    @unittest.skipIf(os.geteuid() != 0 or not shutil.which('setpriv'), 'needs root, and setpriv to be another user')
    def test_other_tenants_are_not_seen(self):
        os.chmod(self.mediator.directory, 0o755)
        os.chmod(self.mediator.socket, 0o666)
        holder = self.use('hold', str(32 << 20))
        self.assertEqual(holder.stdout.readline(), 'held\n')
        stranger = self.use('hold', str(16 << 20), user=65534)
        self.assertEqual(stranger.stdout.readline(), 'held\n')
        self.assertEqual(self.listed(), {holder.pid: 32 << 20})
        self.assertEqual(self.listed(user=65534), {stranger.pid: 16 << 20})
        for program in (holder, stranger):
            program.communicate('end\n', timeout=60)

    @unittest.skipUnless(shutil.which('nvidia-smi'), 'needs nvidia-smi')
    def test_nvidia_smi(self):
        environment = {'LD_LIBRARY_PATH': f'{LIBRARY.parent}:{BUILD / "guest" / "libcuda"}'}
        self.assertIn('softgpu', passes(self, self.mediator, 'nvidia-smi', '-L', **environment))
        self.assertIn('softgpu', passes(self, self.mediator, 'nvidia-smi', '-q', **environment))
        self.assertIn('No running processes', passes(self, self.mediator, 'nvidia-smi', **environment))


class Names(unittest.TestCase):
    def test_every_described_name_is_exported(self):
        described = set(re.findall(r'^\| (nvml\w+) \|', (BUILD / 'api' / 'coverage-nvml.md').read_text(), re.M))
        symbols = subprocess.run(['nm', '-D', '--defined-only', str(LIBRARY)], capture_output=True, text=True,
                                 check=True)
        exported = {line.split()[-1] for line in symbols.stdout.splitlines()}
        self.assertGreater(len(described), 400)
        self.assertEqual(exported, described)

    def test_committed_coverage_is_current(self):
        committed, produced = ROOT / 'docs' / 'coverage-nvml.md', BUILD / 'api' / 'coverage-nvml.md'
        self.assertEqual(committed.read_text(), produced.read_text())


if __name__ == '__main__':
    tap.main()
