# SPDX-License-Identifier: Apache-2.0
"""Tenants whose GPU is at a worker: what tests/end_to_end/test_schedule.py asks of executors here holds there too.

Its tests run once more, with the mediator's pool at a worker; then what only a worker has.
"""

import os
import re
import signal
import socket
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

import tap
import test_devices
import test_schedule
from ports import free_port
from stack import build_directory, wait_until
from test_admin import admin
from test_schedule import end, lines_of
from worker_stack import DelayLine, Worker, WorkerStack, psk_write


class Tenants(test_schedule.Tenants):
    """The same, at a worker, with a network that delays each direction by 'delay' seconds."""

    def __init__(self, *options, delay=0, devices=1, worker_options=(), **settings):
        self.place = tempfile.TemporaryDirectory(prefix='vgpu-worker-tenants-')
        key = psk_write(Path(self.place.name) / 'key.psk')
        several = {'SOFTGPU_DEVICES': str(devices), 'SOFTGPU_MEMORY_BYTES': str(512 << 20)} if devices > 1 else {}
        self.worker = Worker(Path(self.place.name), key, *worker_options, environment=several)
        line = DelayLine(delay) if delay else None
        if line:
            line.target = self.worker.port
        super().__init__('--worker', f'A=127.0.0.1:{line.port if line else self.worker.port}', '--worker-credentials',
                         str(key), *options, **settings)
        self.mediator.driver = '/nonexistent/libcuda.so.1'
        # What executors say is in the worker's log.
        self.mediator.wait_for_line = self.wait_for_line

    def __enter__(self):
        self.worker.start()
        try:
            super().__enter__()
            self.mediator.wait_for_line(r'it has \d+ GPUs')
            return self
        except BaseException:
            self.worker.stop()
            raise

    def executor_of(self, program):
        name = Path(program.args[0]).name
        return int(re.findall(rf'program:{name}: executor pid (\d+)', self.worker.text())[-1])

    def wait_for_line(self, pattern):
        return wait_until(lambda: re.search(pattern, self.mediator.text() + self.worker.text()),
                          f'log line {pattern!r}')

    def __exit__(self, *_):
        super().__exit__()
        self.worker.stop()
        self.place.cleanup()


test_schedule.Tenants = Tenants


class Shares(test_schedule.Shares):
    pass


class Classes(test_schedule.Classes):
    pass


class Limits(test_schedule.Limits):
    pass


class Memory(test_schedule.Memory):
    pass


class Watchdog(test_schedule.Watchdog):
    pass


@unittest.skipIf(os.environ.get('VGPU_SANITIZED'), 'sanitized code is not the code whose speed counts')
class Devices(test_devices.Scheduled):
    """Each GPU of a worker has a scheduler, unless one program uses several of them."""

    def tenants_on(self, devices, *options):
        return Tenants(*options, devices=devices)


class Accounts(unittest.TestCase):
    """What is charged at the worker."""

    def test_killed_programs_leave_nothing(self):
        """Whoever of them is killed: the program, its executor, or the worker's process between them."""
        with Tenants(small='memory-mib=64') as tenants:
            for kill in (lambda program, connection, executor: program.kill(),
                         lambda program, connection, executor: os.kill(executor, signal.SIGKILL),
                         lambda program, connection, executor: os.kill(connection, signal.SIGKILL)):
                before = len(tenants.worker.text())
                program = tenants.spawn('small', 'hog', '--to', time.monotonic() + 600)
                wait_until(lambda: memory_of(tenants, 'small') >= 60 << 20, 'the mediator sees what is charged')
                executor = int(re.findall(r'executor pid (\d+)', tenants.worker.text()[before:])[-1])
                kill(program, tenants.worker.channels()[0], executor)
                wait_until(lambda: not tenants.worker.children(), 'the worker has no process left')
                wait_until(lambda: not tenants.mediator.executors(), 'nor has the host')
                program.kill()
                program.communicate()
                _, lines, error = tenants.run('small', 'hog')
                self.assertGreaterEqual(lines[-1]['bytes'], 62 << 20, error)

    def test_one_that_is_killed_leaves_the_others_their_charges(self):
        with Tenants(small='memory-mib=64') as tenants:
            killed = tenants.spawn('small', 'hog', '--to', time.monotonic() + 600)
            wait_until(lambda: memory_of(tenants, 'small') >= 60 << 20, 'the first has all')
            late = tenants.spawn_told('small')
            wait_until(lambda: len(tenants.worker.channels()) == 2, 'the second has an executor')
            killed.kill()
            killed.communicate()
            wait_until(lambda: memory_of(tenants, 'small') < 60 << 20, 'what the first had is given back')
            self.assertGreaterEqual(tenants.told(late), 62 << 20)
            _, lines, _ = tenants.run('small', 'hog')
            self.assertLessEqual(lines[-1]['bytes'], 4 << 20)
            end(late)


class Pools(unittest.TestCase):
    def test_gpu_of_this_host_and_worker(self):
        """Programs go where the fewest are, and both are scheduled, each on its own."""
        with Tenants() as tenants:
            tenants.mediator.stop()
            tenants.mediator.driver = build_directory() / 'softgpu' / 'driver' / 'libsoftgpu.so.1'
            before = len(tenants.mediator.text())
            tenants.mediator.start()
            # Until it is known to be one that watches, its connection looks like a program's.
            wait_until(lambda: 'it has 1 GPU' in tenants.mediator.text()[before:], 'the worker is known')
            programs = []
            for name in 'ab':
                programs.append(self.begin(tenants, name))
                self.assertEqual(len(tenants.worker.channels()), len(programs))
            wait_until(lambda: admin(tenants, 'scan-gpus'), 'the GPU is known')
            admin(tenants, 'assign-gpu', '0', 'A')
            for name in 'cd':
                programs.append(self.begin(tenants, name))
                self.assertEqual(len(tenants.worker.channels()), 2)
            wait_until(lambda: all(tenants.contended_ms().get(name, 0) > 100 for name in 'abcd'), 'all are at work')
            state = tenants.mediator.text().rsplit('[STATE] up ', 1)[-1]
            self.assertEqual(sorted(re.findall(r'\[STATE\] GPU \d+( at 127.0.0.1:\d+)?: policy fair', state)),
                             ['', f' at 127.0.0.1:{tenants.worker.port}'], state)
            for program in programs:
                program.kill()
                program.communicate()

    def test_two_workers(self):
        with tempfile.TemporaryDirectory(prefix='vgpu-second-') as folder:
            port = free_port()
            with Tenants('--worker', f'A=127.0.0.1:{port}') as tenants:
                second = Worker(Path(folder), Path(tenants.place.name) / 'key.psk', port=port).start()
                self.addCleanup(second.stop)
                tenants.mediator.wait_for_line(f'{port}: it has 1 GPUs')
                programs = [self.begin(tenants, name) for name in 'abcd']
                self.assertEqual([len(worker.channels()) for worker in (tenants.worker, second)], [2, 2])
                for program in programs:
                    program.kill()
                    program.communicate()

    def test_worker_that_is_not_there(self):
        """No program notices: they go to the other worker, the first one too."""
        with Tenants('--worker', f'A=127.0.0.1:{free_port()}') as tenants:
            for name in 'abcd':
                status, _, error = tenants.run(name, 'memory')
                self.assertEqual(status, 0, error)

    def test_worker_that_refuses(self):
        """It is there, with another key, and is avoided as well; a worker that hangs too."""
        with tempfile.TemporaryDirectory(prefix='vgpu-second-') as folder, \
                socket.create_server(('127.0.0.1', 0)) as hanging:
            stranger = Worker(Path(folder), psk_write(Path(folder) / 'key.psk')).start()
            self.addCleanup(stranger.stop)
            with Tenants('--worker', f'A=127.0.0.1:{stranger.port}', '--worker',
                         f'A=127.0.0.1:{hanging.getsockname()[1]}') as tenants:
                running = [self.begin(tenants, name) for name in 'abc']
                self.assertEqual(len(tenants.worker.channels()), 3)
                for program in running:
                    program.kill()
                    program.communicate()

    def test_worker_that_goes_while_a_program_starts(self):
        """It was there a moment ago: the program is moved while it starts."""
        with tempfile.TemporaryDirectory(prefix='vgpu-second-') as folder:
            port = free_port()
            with Tenants('--worker', f'A=127.0.0.1:{port}') as tenants:
                second = Worker(Path(folder), Path(tenants.place.name) / 'key.psk', port=port).start()
                self.addCleanup(second.stop)
                tenants.mediator.wait_for_line(f'{port}: it has 1 GPUs')
                # What is connected goes on for a while, what comes now is not answered.
                self.addCleanup(second.process.send_signal, signal.SIGCONT)
                second.process.send_signal(signal.SIGSTOP)
                running = [self.begin(tenants, name) for name in 'abcd']
                self.assertEqual(len(tenants.worker.channels()), 4)
                tenants.mediator.wait_for_line('it is started elsewhere')
                for program in running:
                    program.kill()
                    program.communicate()

    def test_local_gpu_instead_of_a_worker(self):
        with Tenants() as tenants:
            tenants.mediator.stop()
            tenants.mediator.driver = build_directory() / 'softgpu' / 'driver' / 'libsoftgpu.so.1'
            tenants.mediator.start()
            wait_until(lambda: admin(tenants, 'scan-gpus'), 'the GPU is known')
            admin(tenants, 'assign-gpu', '0', 'A')
            here = self.begin(tenants, 'a')
            tenants.worker.stop()
            # Fewer programs are at the worker, so that one is sent there first.
            status, _, error = tenants.run('b', 'memory')
            self.assertEqual(status, 0, error)
            here.kill()
            here.communicate()

    def test_nothing_answers(self):
        """A clear error within the time that a start may take, whether the worker is not there or hangs."""
        with Tenants() as tenants:
            tenants.worker.stop()
            begun = time.monotonic()
            status, _, error = tenants.run('a', 'memory')
            self.assertNotEqual(status, 0)
            self.assertIn('refused', error)
            with socket.create_server(('127.0.0.1', tenants.worker.port)):
                status, _, error = tenants.run('a', 'memory')
                self.assertNotEqual(status, 0)
                self.assertRegex(error, 'worker|ready in time')
            self.assertLess(time.monotonic() - begun, 90)

    @staticmethod
    def begin(tenants, name):
        before = tenants.mediator.text().count('ready, executor')
        program = tenants.spawn(name, 'saturate', '--blocks', '2', '--from', 0, '--to', time.monotonic() + 600,
                                '--iterations', '5000', '--batch', '256')
        wait_until(lambda: tenants.mediator.text().count('ready, executor') > before, f'{name} has an executor')
        return program


class Restarts(unittest.TestCase):
    def test_scheduled_again_after_a_restart_of_the_mediator(self):
        """Meanwhile the keeper has opened the permits; the next mediator shares the worker's GPU again."""
        with Tenants('--keep', '60', a='weight=50', b='weight=50') as tenants:
            tenants.mediator.options += ('--database', str(tenants.mediator.directory / 'vgpu.db'))
            tenants.mediator.stop()
            tenants.mediator.start()
            programs = [tenants.spawn(name, 'saturate', '--blocks', '2', '--from', 0, '--to', time.monotonic() + 600,
                                      '--iterations', '5000', '--batch', '256') for name in 'ab']
            # One that is just starting is not kept.
            wait_until(lambda: tenants.mediator.text().count('ready, executor') == 2, 'both have executors')
            wait_until(lambda: all(tenants.contended_ms().get(name, 0) > 100 for name in 'ab'), 'both are at work')
            tenants.mediator.stop()
            tenants.mediator.start()
            tenants.mediator.wait_for_line('adopted')
            wait_until(lambda: all(tenants.contended_ms().get(name, 0) > 100 for name in 'ab'), 'they are shared again')
            self.assertEqual([program.poll() for program in programs], [None, None])
            for program in programs:
                program.kill()
                program.communicate()
            tenants.mediator.stop(signal.SIGINT)


class Metrics(unittest.TestCase):
    def test_metrics_of_a_program_at_a_worker(self):
        port = free_port()
        with Tenants(f'--metrics=127.0.0.1:{port}', small='memory-mib=64') as tenants:
            def value(pattern):
                try:
                    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=30) as answer:
                        found = re.findall(rf'^{pattern} (\S+)$', answer.read().decode(), re.MULTILINE)
                except urllib.error.URLError:
                    return None
                return float(found[0]) if found else None

            wait_until(lambda: value(rf'vgpu_gpu_programs\{{gpu="127\.0\.0\.1:{tenants.worker.port}"\}}') == 0,
                       'the metrics are there')
            program = tenants.spawn('small', 'hog', '--to', time.monotonic() + 600)
            wait_until(lambda: (value(r'vgpu_pool_memory_bytes\{pool="A"\}') or 0) >= 60 << 20, 'its memory is seen')
            self.assertEqual(value(rf'vgpu_gpu_programs\{{gpu="127\.0\.0\.1:{tenants.worker.port}"\}}'), 1)
            self.assertEqual(value(rf'vgpu_gpu_tenants\{{gpu="127\.0\.0\.1:{tenants.worker.port}"\}}'), 1)
            program.kill()
            program.communicate()
            wait_until(lambda: value(rf'vgpu_gpu_programs\{{gpu="127\.0\.0\.1:{tenants.worker.port}"\}}') == 0, 'nothing is left of it')


@unittest.skipUnless((build_directory() / 'tests' / 'mediator' / 'libnvidia-ml.so.1').exists(), 'not built')
class Sensors(unittest.TestCase):
    def test_sensors_of_a_worker(self):
        """As this host's, with the worker's address; nothing is left of one that has gone, nor asked for in vain."""
        port = free_port()
        with tempfile.TemporaryDirectory(prefix='vgpu-sensors-') as folder:
            options = ('--executor', str(small_executor(Path(folder))))
            with WorkerStack(worker_options=options) as stack:
                stack.mediator.wait_for_line('it has 2 GPUs')
                time.sleep(1)
                self.assertFalse((Path(folder) / 'asked').exists())
            with WorkerStack(f'--metrics=127.0.0.1:{port}', worker_options=options) as stack:
                def seen():
                    try:
                        with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=30) as answer:
                            text = answer.read().decode()
                    except urllib.error.URLError:
                        return set()
                    found = re.findall(r'^vgpu_gpu_(\w+)\{gpu="(\S+)",uuid="GPU-(\d)",worker="(\S+)"\} (\S+)$', text,
                                       re.MULTILINE)
                    worker = f'127.0.0.1:{stack.worker.port}'
                    names = {'1': worker, '2': worker + '#1'}
                    self.assertTrue(all(gpu == names[uuid] and at == worker for _, gpu, uuid, at, _ in found), found)
                    return {(name, 'GPU-' + uuid, value) for name, _, uuid, _, value in found}

                wanted = {('utilization_ratio', 'GPU-1', '0.75'), ('memory_utilization_ratio', 'GPU-2', '0.4'),
                          ('memory_used_bytes', 'GPU-1', '1000000'), ('temperature_celsius', 'GPU-2', '42'),
                          ('power_watts', 'GPU-1', '123.456'), ('ecc_corrected_total', 'GPU-1', '5')}
                wait_until(lambda: wanted <= seen(), 'the sensors are read')
                self.assertNotIn('power_watts', {name for name, uuid, _ in seen() if uuid == 'GPU-2'})
                stack.worker.stop()
                wait_until(lambda: not seen(), 'what was read is forgotten')


EXECUTOR = """#!/bin/sh
case "$1" in
--probe) echo driver_version=13000
    for i in 1 2; do echo "device=$((i - 1)) name=\\"small\\" uuid=GPU-$i memory=1073741824 pci=0000:0$i:00.0"; done;;
--gpu-events) LD_LIBRARY_PATH=NVML VGPU_EXECUTOR_NVML_EVENTS=FOLDER/events exec EXECUTOR "$@";;
--sensors) : >FOLDER/asked; LD_LIBRARY_PATH=NVML exec EXECUTOR "$@";;
*) exec EXECUTOR "$@";;
esac
"""


def small_executor(folder):
    """For a worker with two GPUs, as the NVML of the tests has them."""
    path = folder / 'executor'
    path.write_text(EXECUTOR.replace('=NVML', f'={build_directory() / "tests" / "mediator"}')
                    .replace('FOLDER', str(folder))
                    .replace('exec EXECUTOR', f'exec {build_directory()}/host/executor/cuda-executor'))
    path.chmod(0o755)
    return path


class Errors(unittest.TestCase):
    """What goes wrong at a worker is seen at the mediator."""

    @unittest.skipUnless((build_directory() / 'tests' / 'mediator' / 'libnvidia-ml.so.1').exists(), 'not built')
    def test_errors_of_gpus(self):
        """Counted by the worker's GPU; after one that matters its worker comes last, until it is cleared."""
        port = free_port()
        with tempfile.TemporaryDirectory(prefix='vgpu-errors-') as folder:
            events = Path(folder) / 'events'
            events.touch()
            executor = small_executor(Path(folder))
            key = psk_write(Path(folder) / 'key.psk')
            broken = Worker(Path(folder), key, '--executor', str(executor)).start()
            self.addCleanup(broken.stop)
            with Tenants('--worker', f'A=127.0.0.1:{broken.port}', f'--metrics=127.0.0.1:{port}') as tenants:
                # The same key for both.
                key.write_text((Path(tenants.place.name) / 'key.psk').read_text())
                broken.stop()
                broken.start()
                tenants.mediator.wait_for_line(f'{broken.port}: it has 2 GPUs')

                def errors(xid):
                    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=30) as answer:
                        found = re.findall(rf'^vgpu_gpu_xid_errors_total\{{gpu="127\.0\.0\.1:{broken.port}#1",'
                                           rf'xid="{xid}"\}} (\d+)$', answer.read().decode(), re.MULTILINE)
                    return [int(value) for value in found]

                events.write_text('2 8 13\n2 8 79\n')
                wait_until(lambda: errors(79) == [1], 'the error is counted')
                self.assertEqual(errors(13), [1])
                tenants.mediator.wait_for_line(f'GPU 127.0.0.1:{broken.port}#1 .*Xid 79: it has fallen off the bus')
                for name in 'abc':
                    self.assertEqual(tenants.run(name, 'memory')[0], 0)
                self.assertNotIn('executor pid', broken.text())
                admin(tenants, 'clear-gpu', f'127.0.0.1:{broken.port}#1')
                self.assertEqual(errors(79), [1])
                programs = [Pools.begin(tenants, name) for name in 'de']
                self.assertIn('executor pid', broken.text())
                for program in programs:
                    program.kill()
                    program.communicate()

    def test_slow_calls(self):
        slow_driver = build_directory() / 'tests' / 'end_to_end' / 'libslow_driver.so'
        with Tenants('--slow-call-ms', '2000', worker_options=('--driver', slow_driver)) as tenants:
            status, _, error = tenants.run('slow', 'issue', '--batch', '1')
            self.assertEqual(status, 0, error)
            call = wait_until(lambda: re.search(r'\[EXECUTOR\] .*\[cuda-executor\] vm_id=0 channel=0: '
                                                r'(slow call: cuModuleLoad\w+ took \d+ ms)', tenants.mediator.text()),
                              'the mediator knows').group(1)
            self.assertIn(call, tenants.worker.text())
            # What else executors say stays there.
            self.assertNotIn('(slow) connected', tenants.mediator.text())


def memory_of(tenants, name):
    """What the mediator says that a tenant has charged, in bytes."""
    found = re.findall(rf'program={name} .* memory=(\d+)', tenants.state())
    return int(found[-1]) if found else 0


class Ways(unittest.TestCase):
    """Records, bulk data and permits on one connection."""

    def test_posted_calls_do_not_wait_for_the_network(self):
        with Tenants(delay=0.1) as tenants:
            # A round trip at least for who waits once; a busy machine may take as long by itself, but not each time.
            for _ in range(3):
                status, lines, error = tenants.run('far', 'issue', '--batch', '1000')
                self.assertEqual(status, 0, error)
                print(f'# {lines[-1]}')
                self.assertGreaterEqual(lines[-1]['launches'], 0.2)
                if lines[-1]['issued'] < 0.2:
                    break
            self.assertLess(lines[-1]['issued'], 0.2)

    def test_permits_pass_what_waits(self):
        """More records than rings and link hold wait for a permit, which must not wait behind them."""
        with Tenants() as tenants:
            other = tenants.spawn('other', 'saturate', '--blocks', '2', '--iterations', '5000', '--batch', '64',
                                  '--from', 0, '--to', time.monotonic() + 600)
            tenants.wait_for_line('process \\d+ \\(other\\) connected')
            status, lines, error = tenants.run('many', 'issue', '--blocks', '1', '--batch', '20000')
            self.assertEqual(status, 0, error)
            print(f'# {lines[-1]}')
            end(other)

    def test_data_is_whole_while_permits_go_by(self):
        with Tenants(delay=0.001) as tenants:
            until = time.monotonic() + 6
            programs = [tenants.spawn(name, 'check', '--blocks', '2', '--rounds', '2', '--to', until)
                        for name in ('one', 'two', 'three')]
            for program in programs:
                output, _ = program.communicate(timeout=120)
                self.assertEqual(program.returncode, 0, output)
                self.assertEqual(lines_of(output)[1]['wrong'], 0)
                self.assertGreater(lines_of(output)[1]['rounds'], 1)

    @unittest.skipIf(os.environ.get('VGPU_SANITIZED'), 'sanitized code is not the code whose speed counts')
    def test_shares_over_a_slow_network(self):
        """Each hand-over costs a round trip, and who causes it pays for it."""
        with Tenants(delay=0.001, a='weight=25', b='weight=75') as tenants:
            programs = [tenants.spawn(name, 'saturate', '--blocks', '2', '--from', 0, '--to', time.monotonic() + 600,
                                      *work)
                        for name, work in (('a', Shares.SHORT), ('b', Shares.LONG))]
            wait_until(lambda: all(tenants.contended_ms().get(name, 0) > 100 for name in 'ab'), 'both are at work')
            for attempts_left in 4, 3, 2, 1, 0:
                before = tenants.contended_ms()
                time.sleep(4)
                after = tenants.contended_ms()
                used = {name: after[name] - before[name] for name in 'ab'}
                print(f'# {used}')
                if abs(used['a'] / sum(used.values()) - 0.25) < 0.04:
                    break
                self.assertTrue(attempts_left, used)
            for program in programs:
                program.kill()
                program.communicate()


if __name__ == '__main__':
    tap.main()
