# SPDX-License-Identifier: Apache-2.0
"""How executors at a worker end, and whom the mediator counts it against, as for executors of its own."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import tap
from stack import build_directory, executor_without_sandbox, wait_until
from worker_stack import COPY_LOOP, END_TO_END, EXAMPLES, WorkerStack

# Speaks to its mediator, or mirror, in ways of its own.
TEST_EXECUTOR = str(build_directory() / 'tests' / 'mediator' / 'test_executor')
BROKEN_EXECUTOR = build_directory() / 'tests' / 'worker' / 'broken_executor'
ODD_KERNEL = build_directory() / 'tests' / 'worker' / 'libodd_kernel.so'
LEAVER = build_directory() / 'tests' / 'worker' / 'libleaver.so'
DEVICE_UNAVAILABLE = 46

# Asks for something that it does not wait for, again and again: its relay is never asleep for long. At last it waits.
ASKING = """
import ctypes, os, sys, time
cuda = ctypes.CDLL('libcuda.so.1')
context, memory = ctypes.c_void_p(), ctypes.c_uint64()
results = [cuda.cuInit(0), cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0), cuda.cuCtxSetCurrent(context),
           cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(4096))]
print('asks', results, flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
    cuda.cuMemsetD8Async(memory, 1, ctypes.c_size_t(4096), None)
print('told', cuda.cuCtxSynchronize())
"""


def is_stuck(process):
    return 'State:\tD' in Path(f'/proc/{process}/status').read_text()


class Ends(unittest.TestCase):
    @staticmethod
    def stack(*options, worker_options=(), driver=None, silence_ms=10000, **environment):
        """Of a host without a driver, where a tenant's third fault puts it into quarantine."""
        if driver:
            worker_options = (*worker_options, '--driver', str(driver))
        return WorkerStack('--quarantine-local', 'yes', '--quarantine-faults', '3', *options,
                           worker_options=worker_options, worker_environment=environment, silence_ms=silence_ms,
                           driver='/nonexistent/libcuda.so.1')

    @staticmethod
    def metrics(stack):
        program = build_directory() / 'host' / 'admin' / 'vgpu-admin'
        return subprocess.run([program, f'--socket={stack.mediator.socket}.admin', 'show-metrics', '--prometheus'],
                              capture_output=True, text=True, timeout=60, check=True).stdout

    def counted(self, stack):
        """Deaths of executors, faults of tenants, quarantines."""
        text = self.metrics(stack)
        return tuple(sum(float(value) for value in re.findall(rf'^{name}(?:{{.*}})? (\S+)$', text, re.M))
                     for name in ('vgpu_pool_executor_deaths_total', 'vgpu_vm_faults_total', 'vgpu_quarantines_total'))

    @staticmethod
    def copying(stack):
        """A program that copies without end and has begun to, and its executor, the newest."""
        program = stack.mediator.spawn(COPY_LOOP)
        assert program.stdout.readline() == 'copying\n'
        return program, int(re.findall(r'executor pid (\d+)', stack.worker.text())[-1])

    def loses(self, program, error='CUDA_ERROR_DEVICE_UNAVAILABLE'):
        output, _ = program.communicate(timeout=120)
        self.assertIn(error, output)

    def test_crashes(self):
        """Each is a death and a fault, and after so many of them the tenant's programs are refused."""
        with self.stack() as stack:
            for count, (how, word) in enumerate(((signal.SIGABRT, 'signal 6'), (signal.SIGKILL, 'signal 9'),
                                                 (signal.SIGABRT, 'signal 6')), 1):
                self.assertNotIn('quarantined', stack.mediator.text())
                program, executor = self.copying(stack)
                os.kill(executor, how)
                self.loses(program)
                stack.mediator.wait_for_line(f'lost: worker: the executor was killed by {word}')
                self.assertEqual(self.counted(stack), (count, count, count == 3))
            stack.mediator.wait_for_line('quarantined for .* the last one: worker: the executor was killed by signal 6')
            self.assertIn('is quarantined', stack.mediator.run(EXAMPLES / 'vector_add', 1000).stderr)

    def test_stopped(self):
        with self.stack(worker_options=('--executor-silence', '1500')) as stack:
            program, executor = self.copying(stack)
            os.kill(executor, signal.SIGSTOP)
            self.loses(program)
            stack.mediator.wait_for_line('lost: worker: the executor was stopped for longer than 1500 ms')
            self.assertEqual(self.counted(stack), (1, 1, 0))

    def test_ends_that_are_nobodys_fault(self):
        """The program's own, the connection's, the worker's."""
        with self.stack() as stack:
            self.assertEqual(stack.mediator.run(EXAMPLES / 'vector_add', 1000).returncode, 0)
            program, _ = self.copying(stack)
            program.kill()
            program.communicate()
            wait_until(lambda: not stack.worker.children(), 'nothing is left of it')
            program, _ = self.copying(stack)
            connection, = stack.worker.channels()
            os.kill(connection, signal.SIGKILL)
            self.loses(program)
            for how in signal.SIGTERM, signal.SIGKILL:
                program, _ = self.copying(stack)
                stack.worker.stop(how)
                self.loses(program)
                stack.worker.start()
            lost = re.findall('lost: .*', stack.mediator.text())
            self.assertEqual(self.counted(stack), (0, 0, 0), lost)
            # A lane may be missed first.
            self.assertEqual(len([line for line in lost if 'to the worker was lost' in line]), 3, lost)

    def stuck_stack(self, folder, executor=None, **environment):
        """Of executors that are stuck, in the driver unless it is one of the test's, when they are told to be."""
        # The sandbox would not let the test's driver sleep so.
        executor = str(executor or executor_without_sandbox(folder))
        places = Path(folder) / 'places'
        places.mkdir()
        return self.stack('--tenant-per-program', 'yes', worker_options=('--executor', executor, '--executor-stuck', '2'),
                          driver=END_TO_END / 'libslow_driver.so', VGPU_EXECUTOR_STUCK=str(places), **environment)

    def stuck_end(self, stack, *names, devices=(), **loses):
        """Such tenants' programs, on these devices if there are several, are stuck in the driver at once, and are ended."""
        places = Path(stack.worker.environment['VGPU_EXECUTOR_STUCK'])
        before = len(list(places.iterdir()))
        programs = []
        for number, name in enumerate(names):
            environment = {'CUDA_VISIBLE_DEVICES': devices[number]} if devices else {}
            path = stack.directory / name
            if not path.exists():
                path.symlink_to(EXAMPLES / 'vector_add')
            programs.append(stack.mediator.spawn(path, 1000, **environment))
        wait_until(lambda: len(list(places.iterdir())) == before + len(names), 'they are in the driver')
        # It sees all of them in one look, however long they take.
        stack.worker.process.send_signal(signal.SIGSTOP)
        (places / 'now').touch()
        executors = [place.name for place in places.iterdir() if place.name != 'now' and Path('/proc', place.name).exists()]
        wait_until(lambda: all(is_stuck(executor) for executor in executors), 'they are stuck')
        stack.worker.process.send_signal(signal.SIGCONT)
        for program in programs:
            self.loses(program, **loses)
        (places / 'now').unlink()

    def stuck(self, *names):
        """What is counted then, and the worker's log."""
        with tempfile.TemporaryDirectory() as folder, self.stuck_stack(folder) as stack:
            self.stuck_end(stack, *names)
            self.assertEqual(len(re.findall('lost: worker: the executor was stuck in the kernel for longer than 2000 ms',
                                            stack.mediator.text())), len(names))
            wait_until(lambda: not stack.worker.children(), 'they are gone, for here SIGKILL wakes them')
            return self.counted(stack), stack.worker.text()

    def test_stuck_in_the_kernel(self):
        counted, log = self.stuck('one')
        self.assertEqual(counted, (1, 1, 0))
        self.assertIn('its executor was stuck in the kernel for longer than 2000 ms: killed', log)
        self.assertNotIn('hangs', log)

    def test_stuck_with_others(self):
        """It is a GPU's driver."""
        counted, log = self.stuck('one', 'two')
        self.assertEqual(counted, (2, 0, 0))
        self.assertEqual(log.count('driver hangs'), 2)

    def told(self, stack, text):
        """What operators are told of all GPUs; nothing: all is well."""
        gpus, = (check for check in stack.mediator.admin('show-health', code=7 if text else 0) if check['check'] == 'gpus')
        self.assertEqual(gpus['good'], not text)
        if text:
            self.assertEqual(gpus['text'], text)

    def test_which_gpu(self):
        """The mediator's operators are told which of the worker's it is, until it is well again."""
        with tempfile.TemporaryDirectory() as folder, self.stuck_stack(folder, SOFTGPU_DEVICES='3') as stack:
            stack.mediator.wait_for_line('it has 3 GPUs')
            name = f'127.0.0.1:{stack.worker.port}#1'
            self.stuck_end(stack, 'one', 'two', devices='11')
            self.assertEqual(stack.mediator.text().count(f'GPU {name}: executors of several tenants were stuck'), 1)
            (uuid, count), = re.findall(rf'^vgpu_gpu_hangs_total{{gpu="{name}",uuid="(.*)"}} (.*)$', self.metrics(stack), re.M)
            self.assertEqual((uuid[-1], count), ('2', '2'))
            self.told(stack, f'GPU {name}: executors of several tenants were stuck in its driver')
            self.assertEqual(len(re.findall("so are other tenants': GPU [0-9a-f:]*'s driver hangs", stack.worker.text())), 2)
            stack.mediator.admin('clear-gpu', name)
            self.told(stack, '')
            # What is with another one is new.
            self.stuck_end(stack, 'one', 'two', devices='22')
            self.told(stack, f'GPU 127.0.0.1:{stack.worker.port}#2: executors of several tenants were stuck in its driver')

    def test_stuck_with_different_gpus(self):
        """Each is its tenant's fault."""
        with tempfile.TemporaryDirectory() as folder, self.stuck_stack(folder, SOFTGPU_DEVICES='3') as stack:
            stack.mediator.wait_for_line('it has 3 GPUs')
            self.stuck_end(stack, 'one', 'two', devices='12')
            self.assertEqual(self.counted(stack), (2, 2, 0))
            self.assertNotIn('driver hangs', stack.worker.text())
            self.told(stack, '')

    @unittest.skipIf('VGPU_SANITIZED' in os.environ, 'a library is preloaded, and a sanitizer has to be the first one')
    def test_stuck_for_good(self):
        """One that was ended and stays says nothing of who is stuck later."""
        unanswered = 'cuInit: CUDA_ERROR_SYSTEM_NOT_READY'
        with tempfile.TemporaryDirectory() as folder:
            with self.stuck_stack(folder, BROKEN_EXECUTOR, LD_PRELOAD=str(ODD_KERNEL), VGPU_ODD_KERNEL='keeps',
                                  VGPU_BROKEN_EXECUTOR='stuck') as stack:
                self.stuck_end(stack, 'one', error=unanswered)
                self.assertEqual(self.counted(stack), (1, 1, 0))
                self.stuck_end(stack, 'two', error=unanswered)
                self.assertEqual(self.counted(stack), (2, 2, 0))
                self.assertEqual(len(stack.worker.children()), 2)

    def test_what_is_not_its_to_say(self):
        """How it has ended, which counts for or against its tenant, the worker alone knows."""
        for error in 11, 12, 13:
            with self.subTest(error), self.stack(worker_options=('--executor', TEST_EXECUTOR),
                                                 VGPU_EXECUTOR_TEST=f'fail-{error}') as stack:
                self.assertNotEqual(stack.mediator.run(EXAMPLES / 'vector_add', 1000).returncode, 0)
                stack.mediator.wait_for_line('as a worker says it')
                self.assertNotIn('[CGROUP]', stack.mediator.text())
                self.assertEqual(self.counted(stack), (0, 0, 0))

    def broken(self, behaviour, word):
        """An executor that was taken over does that, and is the tenant's fault."""
        with self.subTest(behaviour), self.stack(worker_options=('--executor', str(BROKEN_EXECUTOR)),
                                                 VGPU_BROKEN_EXECUTOR=behaviour) as stack:
            self.assertNotEqual(stack.mediator.run(EXAMPLES / 'vector_add', 1000).returncode, 0)
            stack.mediator.wait_for_line(f'lost: worker: .*{word}')
            self.assertEqual(self.counted(stack), (1, 1, 0))

    def test_what_does_not_excuse_it(self):
        """That its host has failed it, or what else is not its to say."""
        for error in range(1, 14):
            if error != 7:  # VGPU_ERROR_PROTOCOL, which blames the guest and is no death
                self.broken(f'says-{error}', "it is the host's fault")

    def test_what_its_relay_would_not_take(self):
        self.broken('charged', 'charged more than there can be')
        self.broken('released', 'broke the upload window')
        self.broken('called', 'called host functions out of turn')
        self.broken('called-again', 'called host functions out of turn')

    @unittest.skipIf('VGPU_SANITIZED' in os.environ, 'a library is preloaded, and a sanitizer has to be the first one')
    def test_what_it_hides(self):
        """By hanging up without ending, also where nobody may be silent for long."""
        for silence_ms in 10000, 1500:
            with self.subTest(silence_ms), tempfile.TemporaryDirectory() as folder:
                leave, wait = Path(folder) / 'leave', Path(folder) / 'wait'
                executor = str(executor_without_sandbox(folder))
                with self.stack(worker_options=('--executor', executor), silence_ms=silence_ms, LD_PRELOAD=str(LEAVER),
                                VGPU_LEAVER=str(leave)) as stack:
                    program = stack.mediator.spawn(sys.executable, '-c', ASKING, wait)
                    self.assertEqual(program.stdout.readline(), 'asks [0, 0, 0, 0]\n')
                    leave.touch()
                    stack.mediator.wait_for_line('lost: ')
                    wait.touch()
                    self.loses(program, f'told {DEVICE_UNAVAILABLE}')
                    self.assertEqual(self.counted(stack), (1, 1, 0))
                    wait_until(lambda: not stack.worker.children(), 'it is gone')

    @unittest.skipIf('VGPU_SANITIZED' in os.environ, 'a library is preloaded, and a sanitizer has to be the first one')
    def test_what_it_has_no_room_for(self):
        """Its connection's process has not read the answers to its questions yet: it hears how it ended nonetheless."""
        with tempfile.TemporaryDirectory() as folder:
            begins, asked = Path(folder) / 'begins', Path(folder) / 'asked'
            with self.stack(worker_options=('--executor', str(BROKEN_EXECUTOR), '--executor-silence', '1500'),
                            silence_ms=60000, LD_PRELOAD=str(ODD_KERNEL), VGPU_ODD_KERNEL='narrow', VGPU_BROKEN_EXECUTOR='asks',
                            VGPU_BROKEN_BEGINS=str(begins), VGPU_BROKEN_ASKED=str(asked)) as stack:
                program = stack.mediator.spawn(EXAMPLES / 'vector_add', 1000)
                stack.mediator.wait_for_line('ready, executor pid')
                connection, = stack.worker.channels()
                # The questions wait, more of them than its process would send, which answers the others itself.
                stack.worker.process.send_signal(signal.SIGSTOP)
                begins.touch()
                wait_until(asked.exists, 'it has asked')
                os.kill(connection, signal.SIGSTOP)
                stack.worker.process.send_signal(signal.SIGCONT)
                wait_until(lambda: 'its executor was stopped for longer than 1500 ms: killed' in stack.worker.text(),
                           'it is ended')
                os.kill(connection, signal.SIGCONT)
                program.communicate(timeout=120)
                stack.mediator.wait_for_line('lost: worker: the executor was stopped for longer than 1500 ms')
                self.assertEqual(self.counted(stack), (1, 1, 0))

    def test_what_its_link_has_no_room_for(self):
        """Its relay takes nothing meanwhile, and it has filled the link itself: how it ended is said nonetheless."""
        with tempfile.TemporaryDirectory() as folder:
            begins, asked = Path(folder) / 'begins', Path(folder) / 'asked'
            with self.stack(worker_options=('--executor', str(BROKEN_EXECUTOR)), silence_ms=60000,
                            VGPU_BROKEN_EXECUTOR='floods', VGPU_BROKEN_BEGINS=str(begins), VGPU_BROKEN_ASKED=str(asked)) as stack:
                program = stack.mediator.spawn(EXAMPLES / 'vector_add', 1000)
                stack.mediator.wait_for_line('ready, executor pid')
                relay = int(re.findall(r'ready, executor pid (\d+)', stack.mediator.text())[-1])
                executor = re.findall(r'executor pid (\d+)', stack.worker.text())[-1]
                os.kill(relay, signal.SIGSTOP)
                begins.touch()
                wait_until(asked.exists, 'it has filled the link')
                wait_until(lambda: not Path('/proc', executor).exists(), 'it has ended')
                # As long as its connection's process would have tried to say something else.
                time.sleep(2)
                os.kill(relay, signal.SIGCONT)
                program.communicate(timeout=120)
                stack.mediator.wait_for_line('lost: worker: .*charged more than there can be')
                self.assertEqual(self.counted(stack), (1, 1, 0))

    def test_before_it_is_ready(self):
        """Nothing of the tenant's has run yet: it is a death, unless it was not even told what to do, and no fault."""
        with tempfile.TemporaryDirectory() as folder:
            lacking = Path(folder) / 'lacking'
            lacking.write_text(f'#!/bin/sh\n[ $# = 0 ] || exec {TEST_EXECUTOR} "$@"\nexit 127\n')
            lacking.chmod(0o755)
            for executor, behaviour in (TEST_EXECUTOR, 'crash'), (TEST_EXECUTOR, 'hang-up'), (lacking, ''):
                with self.subTest(behaviour), self.stack(worker_options=('--executor', str(executor)),
                                                         VGPU_EXECUTOR_TEST=behaviour) as stack:
                    for count in 1, 2, 3, 4:
                        refused = stack.mediator.run(EXAMPLES / 'vector_add', 1000)
                        self.assertNotEqual(refused.returncode, 0)
                        deaths, *faults = self.counted(stack)
                        self.assertEqual(faults, [0, 0], refused.stderr)
                        self.assertTrue(deaths == count or executor == lacking, refused.stderr)


if __name__ == '__main__':
    tap.main()
