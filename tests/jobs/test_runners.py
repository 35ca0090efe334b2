# SPDX-License-Identifier: Apache-2.0
"""How vgpu-jobs ends runners, and what it must not end."""

import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import tap
from stack import Mediator, wait_until
from test_jobs import ADD, Daemon

LAST_PROCESS = Path('/proc/sys/kernel/ns_last_pid')
ATTEMPTS = 100

# It ends, but another process has its socket, so that nobody hears of that but by its death.
RUNNER = """#!/bin/sh
sleep 600 2>/dev/null &
echo $! $$ >FOLDER/.processes
mv FOLDER/.processes FOLDER/processes
"""


def process_with_number(number):
    """One that sleeps. None: the number is always somebody else's."""
    for _ in range(ATTEMPTS):
        try:
            LAST_PROCESS.write_text(str(number - 1))
        except OSError as error:
            raise unittest.SkipTest(f'numbers of processes cannot be chosen: {error}') from error
        process = subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if process.pid == number:
            return process
        process.kill()
        process.wait()
    return None


class Runners(unittest.TestCase):
    def test_number_of_a_runner_that_has_ended(self):
        """Who has it now is not killed with the job that the runner was for."""
        with tempfile.TemporaryDirectory(prefix='vgpu-runners-') as folder:
            runner = Path(folder) / 'runner'
            runner.write_text(RUNNER.replace('FOLDER', folder))
            runner.chmod(0o755)
            with Mediator() as mediator, Daemon(mediator, '--job-timeout', '10', ports=('one:7',), runner=runner) as jobs:
                jobs.ports[0].send(ADD)
                wait_until((Path(folder) / 'processes').exists, 'the runner has begun')
                left, number = (int(word) for word in (Path(folder) / 'processes').read_text().split())
                self.addCleanup(os.kill, left, signal.SIGKILL)
                wait_until(lambda: not Path(f'/proc/{number}').exists(), 'the runner was reaped')
                innocent = process_with_number(number)
                if not innocent:
                    self.skipTest('its number is always taken')
                self.addCleanup(innocent.wait)
                self.addCleanup(innocent.kill)
                # After its time the job is ended, and then answered.
                self.assertIn('ended before its answer', jobs.ports[0].lines.readline())
                with self.assertRaises(subprocess.TimeoutExpired):
                    innocent.wait(3)


if __name__ == '__main__':
    tap.main()
