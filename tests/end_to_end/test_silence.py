# SPDX-License-Identifier: Apache-2.0
"""Executors that stop answering: they are ended, and whose fault it is that they are stuck in the kernel."""

import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import tap
from stack import build_directory, executor_without_sandbox, processor_seconds, wait_until
from test_schedule import PATIENCE_FACTOR, Tenants, lines_of

DRIVER = build_directory() / 'tests' / 'end_to_end' / 'libslow_driver.so'
WHAT = 'executors of several tenants were stuck in its driver'


def is_stuck(pid):
    try:
        return 'State:\tD' in Path(f'/proc/{pid}/status').read_text()
    except OSError:
        return False


def switches(pid):
    """How often its main thread was taken off a processor."""
    return sum(int(number) for number in re.findall(r'ctxt_switches:\t(\d+)', Path(f'/proc/{pid}/status').read_text()))


class Stopped(unittest.TestCase):
    """Executors that stop answering: stopped, as nothing that they do by themselves stops them."""

    # Of the results of 'check', and a quota that has room for them once.
    BLOCKS, QUOTA_MIB = 2048, 4

    def computing(self, tenants, name, blocks=2):
        """A program that computes until it is told to end, and its executor."""
        program = tenants.spawn(name, 'check', '--blocks', blocks, '--iterations', '10',
                                '--to', time.monotonic() + 600)
        tenants.mediator.wait_for_line(f'client={program.pid}: ready, executor')
        executor = tenants.executor_of(program)
        # It has a context, and what it computes.
        busy = processor_seconds(executor)
        wait_until(lambda: processor_seconds(executor) > busy + 0.2, f'{name} computes')
        return program, executor

    def finish(self, program):
        program.send_signal(signal.SIGINT)
        output, _ = program.communicate(timeout=60)
        self.assertEqual(program.returncode, 0, output)
        self.assertEqual(lines_of(output)[1]['wrong'], 0)

    def stop_and_look(self, tenants, silence):
        bad, executor = self.computing(tenants, 'bad', self.BLOCKS)
        os.kill(executor, signal.SIGSTOP)
        start = time.monotonic()
        output, _ = bad.communicate(timeout=60 * PATIENCE_FACTOR)
        took = time.monotonic() - start
        print(f'# the program of a stopped executor ended after {took:.2f} s')
        self.assertEqual(bad.returncode, 1, output)
        self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
        # Not sooner, but for the moment between the signal and the first look, which is not counted.
        self.assertGreaterEqual(took, silence)
        wait_until(lambda: not Path(f'/proc/{executor}').exists(), 'the executor is gone')
        # The fault is punished for a second.
        _, lines, _ = wait_until(lambda: (done := tenants.run('bad', 'hog')) and not done[0] and done,
                                 'the tenant starts another program')
        self.assertGreaterEqual(lines[-1]['bytes'], (self.QUOTA_MIB - 1) << 20)

    def test_stopped_executor(self):
        silence = 1.5
        with Tenants('--executor-silence', str(int(silence * 1000)), '--quarantine-faults', '1', '--quarantine-local',
                     'yes', '--quarantine-time', '1', bad=f'memory-mib={self.QUOTA_MIB}') as tenants:
            good, _ = self.computing(tenants, 'good')
            self.stop_and_look(tenants, silence)
            what = 'the executor was stopped for longer than 1500 ms'
            for line in f'{what}: killed', f'lost: {what}', f'program=bad: quarantined .* the last one: {what}':
                self.assertRegex(tenants.mediator.text(), line)
            self.finish(good)

    def test_changed_while_running(self):
        """One that was told to be left alone, for a debugger, is ended when that is over."""
        tenants = Tenants()
        tenants.mediator.configure('executor-silence = 0\n')
        with tenants:
            bad, executor = self.computing(tenants, 'bad')
            os.kill(executor, signal.SIGSTOP)
            time.sleep(6)
            self.assertIsNone(bad.poll())
            tenants.mediator.configure('executor-silence = 500\n')
            output, _ = bad.communicate(timeout=60 * PATIENCE_FACTOR)
            self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
            wait_until(lambda: not Path(f'/proc/{executor}').exists(), 'the executor is gone')

    def test_stopped_again_and_again(self):
        """Who runs in between, be it for a moment, as under a tracer, does not stand still."""
        with Tenants('--executor-silence', '2000') as tenants:
            program, executor = self.computing(tenants, 'traced')
            end_of_it = time.monotonic() + 6
            while time.monotonic() < end_of_it:
                os.kill(executor, signal.SIGSTOP)
                time.sleep(0.3)
                ran = switches(executor)
                os.kill(executor, signal.SIGCONT)
                time.sleep(0.01)
                # On a busy machine it may take longer.
                wait_until(lambda: switches(executor) > ran, 'it runs')
            self.finish(program)

    def test_stuck_in_the_kernel(self):
        """In a call of the driver that no signal ends; the sandbox would not let the test's driver sleep so."""
        with tempfile.TemporaryDirectory() as folder:
            with Tenants('--executor', str(executor_without_sandbox(folder)), '--executor-stuck', '2', driver=DRIVER,
                         environment={'VGPU_EXECUTOR_STUCK': '1'}) as tenants:
                start = time.monotonic()
                status, _, error = tenants.run('stuck', 'memory')
                self.assertEqual(status, 1)
                self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', error)
                self.assertGreaterEqual(time.monotonic() - start, 2)
                tenants.mediator.wait_for_line('lost: the executor was stuck in the kernel for longer than 2000 ms')
                wait_until(lambda: not tenants.mediator.executors(), 'it is gone, for here SIGKILL wakes it')

    def test_long_calls_of_the_driver(self):
        """A module that takes much longer to load than an executor may stand still."""
        with Tenants('--executor-silence', '500', '--executor-stuck', '1', driver=DRIVER) as tenants:
            start = time.monotonic()
            status, lines, error = tenants.run('slow', 'check', '--blocks', '2', '--to', time.monotonic() + 6)
            self.assertEqual(status, 0, error)
            self.assertGreater(time.monotonic() - start, 4)
            self.assertEqual(lines[1]['wrong'], 0)


class Stuck(unittest.TestCase):
    """In a call of the driver that no signal ends; the sandbox would not let the test's driver sleep so."""

    def end_all(self, names, before=lambda mediator: '', meanwhile=lambda mediator: '', options=(), **environment):
        """Their programs, which are stuck at once, each begun when those before are; the mediator, while it is there.
        'before' and 'meanwhile': what else is done, and settings that it has made."""
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        tenants = Tenants('--executor', str(executor_without_sandbox(self.folder.name)), '--quarantine-faults', '1',
                          '--quarantine-local', 'yes', '--slice', '100', *options, driver=DRIVER,
                          environment={'VGPU_EXECUTOR_STUCK': '1', **environment})
        tenants.mediator.configure('executor-stuck = 0\n')
        tenants.__enter__()
        self.addCleanup(tenants.__exit__)
        before(tenants.mediator)
        programs = []
        for name in names:
            programs.append(tenants.spawn(name, 'memory'))
            # One that does not answer keeps nobody from the GPU, also where a slice is over before who comes asks.
            wait_until(lambda: sum(is_stuck(pid) for pid in tenants.mediator.executors()) == len(programs), 'it sleeps')
        tenants.mediator.configure('executor-stuck = 2\n' + meanwhile(tenants.mediator))
        for program in programs:
            self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', program.communicate(timeout=60 * PATIENCE_FACTOR)[0])
        wait_until(lambda: not tenants.mediator.executors(), 'they are gone')
        return tenants.mediator

    def test_alone(self):
        mediator = self.end_all(['one'])
        mediator.wait_for_line('program=one: quarantined')
        self.assertEqual(mediator.admin('scan-gpus')[0]['fault'], '')

    def test_several_of_one_tenant(self):
        mediator = self.end_all(['one', 'one'])
        mediator.wait_for_line('program=one: quarantined')
        self.assertEqual(mediator.admin('scan-gpus')[0]['fault'], '')

    def test_several_tenants(self):
        """With one GPU: its driver's fault, which operators are told, and not the tenants'."""
        mediator = self.end_all(['one', 'two'])
        self.assertEqual(mediator.text().count(f'GPU 0: {WHAT}'), 1)
        self.assertNotIn('quarantined', mediator.text())
        self.told(mediator, f'GPU 0: {WHAT}')
        self.assertEqual(mediator.admin('scan-gpus')[0]['fault'], WHAT)
        mediator.admin('clear-gpu', '0')
        self.assertEqual(mediator.admin('scan-gpus')[0]['fault'], '')
        mediator.admin('clear-gpu', '0', code=6)

    def told(self, mediator, text):
        """What operators are told of all GPUs; nothing: all is well."""
        gpus, = (check for check in mediator.admin('show-health', code=7 if text else 0) if check['check'] == 'gpus')
        self.assertEqual(gpus['good'], not text)
        if text:
            self.assertEqual(gpus['text'], text)

    def devices_set(self, devices):
        """The driver has those from now on."""
        executor = executor_without_sandbox(self.folder.name)
        executor.write_text(executor.read_text().replace('exec ', f'CUDA_VISIBLE_DEVICES={devices} exec '))

    def see(self, mediator, devices, allowed, more=''):
        """The same; the setting with which it was looked at again."""
        setting = f'allow-pageable-access = {allowed}\n'
        self.devices_set(devices)
        mediator.configure(more + setting)
        wait_until(lambda: len(mediator.admin('scan-gpus')) == len(devices.split(',')), 'other devices are found')
        return setting

    def gpus(self, mediator):
        """Their last digits and faults, in the order of their numbers."""
        return [(gpu['uuid'][-1], gpu['fault']) for gpu in mediator.admin('scan-gpus')]

    def counted(self, mediator):
        """Numbers and last digits of GPUs that hung, and how many executors were ended for it."""
        program = build_directory() / 'host' / 'admin' / 'vgpu-admin'
        text = subprocess.run([program, f'--socket={mediator.socket}.admin', 'show-metrics', '--prometheus'],
                              capture_output=True, text=True, timeout=60, check=True).stdout
        return [(gpu, uuid[-1], int(count)) for gpu, uuid, count in
                re.findall(r'^vgpu_gpu_hangs_total{gpu="(.*)",uuid="(.*)"} (\d+)$', text, re.M)]

    def test_other_numbers(self):
        """After a reload, when devices have gone and come: what was wrong is with the GPU, whatever number it has."""
        mediator = self.end_all(['one', 'two'], SOFTGPU_DEVICES='3')
        self.assertEqual(self.gpus(mediator), [('1', WHAT), ('2', ''), ('3', '')])
        self.assertEqual(self.counted(mediator), [('0', '1', 2)])
        self.see(mediator, '1,2', 'yes')
        self.assertEqual(self.gpus(mediator), [('2', ''), ('3', '')])
        self.told(mediator, '')
        self.see(mediator, '2', 'no')
        self.see(mediator, '1,0', 'yes')
        self.assertEqual(self.gpus(mediator), [('2', ''), ('1', WHAT)])
        self.assertEqual(self.counted(mediator), [('1', '1', 2)])
        self.told(mediator, f'GPU 1: {WHAT}')
        mediator.admin('clear-gpu', '0', code=6)
        mediator.admin('clear-gpu', '1')
        self.told(mediator, '')

    @staticmethod
    def place(mediator):
        mediator.wait_for_line('CUDA initialized')
        mediator.admin('assign-gpu', '1', 'A')

    def test_other_numbers_of_adopted(self):
        """The same after a restart while they are stuck."""
        def restart(mediator):
            self.devices_set('1,0')
            mediator.stop(signal.SIGKILL)
            mediator.start()
            mediator.wait_for_line('adopted 2 connections and 2 executors')
            wait_until(lambda: len(mediator.admin('scan-gpus')) == 2, 'other devices are found')
            return ''

        mediator = self.end_all(['one', 'two'], self.place, restart, ('--keep', '30'), SOFTGPU_DEVICES='3')
        self.assertEqual(self.gpus(mediator), [('2', WHAT), ('1', '')])
        mediator.stop(signal.SIGINT)

    def test_other_numbers_meanwhile(self):
        """A reload while they are stuck: it is the GPU that they were placed on."""
        mediator = self.end_all(['one', 'two'], self.place, lambda mediator: self.see(mediator, '1,0', 'yes', 'executor-stuck = 0\n'),
                                SOFTGPU_DEVICES='3')
        self.assertEqual(self.gpus(mediator), [('2', WHAT), ('1', '')])


if __name__ == '__main__':
    tap.main()
