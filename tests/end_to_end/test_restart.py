# SPDX-License-Identifier: Apache-2.0
"""Programs go on across a restart of the mediator (keep), however it ended; the next one adopts their executors."""

import os
import signal
import time
import unittest
from pathlib import Path

import tap
from stack import build_directory, wait_until
from test_schedule import Tenants, end, lines_of


def executors_of_all():
    """Process ids of this build's running executors, whoever their parent is."""
    program = str(build_directory() / 'host' / 'executor' / 'cuda-executor')
    found = set()
    for entry in os.listdir('/proc'):
        try:
            # Those that serve have no arguments.
            if (entry.isdigit() and os.readlink(f'/proc/{entry}/exe') == program and
                    Path(f'/proc/{entry}/cmdline').read_bytes().count(b'\0') == 1):
                found.add(int(entry))
        except OSError:
            pass
    return found


class Restart(unittest.TestCase):
    def setUp(self):
        self.before = executors_of_all()

    def own_executors(self):
        return executors_of_all() - self.before

    def survives(self, how, pause):
        with Tenants('--keep', '30') as tenants:
            mediator = tenants.mediator
            programs = [tenants.spawn(name, 'check', '--blocks', '2', '--to', time.monotonic() + 8)
                        for name in ('one', 'two')]
            wait_until(lambda: mediator.text().count(') connected') == 2, 'both programs are connected')
            time.sleep(1)
            executors = self.own_executors()
            mediator.stop(how)
            self.assertTrue(all(program.poll() is None for program in programs))
            time.sleep(pause)
            self.assertEqual(self.own_executors(), executors)
            mediator.start()
            mediator.wait_for_line('adopted 2 connections and 2 executors')
            # It schedules and serves as ever: a third one comes and goes.
            status, lines, error = tenants.run('three', 'check', '--blocks', '2', '--rounds', '1', '--to', time.monotonic() + 1)
            self.assertEqual(status, 0, error)
            self.assertGreater(lines[1]['rounds'], 0)
            for program in programs:
                output, _ = program.communicate(timeout=60)
                self.assertEqual(program.returncode, 0, output)
                self.assertEqual(lines_of(output)[1]['wrong'], 0)
                self.assertLess(lines_of(output)[2]['most'], 4e6)
            # The adopted ones end with their programs.
            wait_until(lambda: not self.own_executors(), 'no executor is left')
            mediator.stop(signal.SIGINT)

    def test_stopped_and_started(self):
        self.survives(signal.SIGTERM, 0)

    def test_killed(self):
        self.survives(signal.SIGKILL, 2)

    def test_limits_hold_after_it(self):
        with Tenants('--keep', '30', small='memory-mib=64') as tenants:
            holder = tenants.spawn_told('small')
            self.assertGreater(tenants.told(holder), 60 << 20)
            tenants.mediator.stop(signal.SIGKILL)
            tenants.mediator.start()
            tenants.mediator.wait_for_line('adopted 1 connections and 1 executors')
            _, lines, error = tenants.run('small', 'hog')
            self.assertLess(lines[-1]['bytes'], 4 << 20, error)
            end(holder)
            _, lines, error = tenants.run('small', 'hog')
            self.assertGreater(lines[-1]['bytes'], 60 << 20, error)
            tenants.mediator.stop(signal.SIGINT)

    def test_program_that_ends_meanwhile(self):
        with Tenants('--keep', '30') as tenants:
            program = tenants.spawn('one', 'check', '--blocks', '2', '--to', time.monotonic() + 600)
            tenants.mediator.wait_for_line('connected')
            tenants.mediator.stop(signal.SIGKILL)
            program.kill()
            program.wait()
            tenants.mediator.start()
            tenants.mediator.wait_for_line('adopted 1 connections')
            wait_until(lambda: not self.own_executors(), 'its executor is ended')
            tenants.mediator.stop(signal.SIGINT)

    def test_nobody_comes(self):
        with Tenants('--keep', '2') as tenants:
            program = tenants.spawn('one', 'check', '--blocks', '2', '--to', time.monotonic() + 600)
            tenants.mediator.wait_for_line('connected')
            tenants.mediator.stop()
            time.sleep(1)
            self.assertIsNone(program.poll())
            output, _ = program.communicate(timeout=60)
            self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
            wait_until(lambda: not self.own_executors(), 'no executor is left')

    def test_interrupt_ends_all(self):
        with Tenants('--keep', '30') as tenants:
            program = tenants.spawn('one', 'check', '--blocks', '2', '--to', time.monotonic() + 600)
            tenants.mediator.wait_for_line('connected')
            tenants.mediator.stop(signal.SIGINT)
            output, _ = program.communicate(timeout=60)
            self.assertIn('CUDA_ERROR_DEVICE_UNAVAILABLE', output)
            wait_until(lambda: not self.own_executors(), 'no executor is left')


if __name__ == '__main__':
    tap.main()
