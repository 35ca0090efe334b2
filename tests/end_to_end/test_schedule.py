# SPDX-License-Identifier: Apache-2.0
"""Tenants that share the software GPU: shares by weight, limits, watchdog, quarantine.

Shares are taken from the mediator's own account (the time for which each tenant had the GPU while another one
wanted it) and, less strictly, from the work that was done: on a busy machine the same kernel does not always take
the same time.
"""

import json
import os
import re
import signal
import tempfile
import time
import unittest
from pathlib import Path

import tap
from stack import Mediator, build_directory, wait_until

PROGRAM = build_directory() / 'bench' / 'tenant'


class Tenants:
    """A mediator for which each program name is a tenant, and links to the program under such names."""

    def __init__(self, *options, **settings):
        self.folder = tempfile.TemporaryDirectory(prefix='vgpu-tenants-')
        lines = [f'program:{name} {text}' for name, text in settings.items()]
        self.mediator = Mediator('--tenant-per-program', 'yes',
                                 *[part for line in lines for part in ('--tenant', line)], *options)

    def __enter__(self):
        self.mediator.start()
        return self

    def __exit__(self, *_):
        self.mediator.__exit__()
        self.folder.cleanup()

    def program(self, name):
        path = Path(self.folder.name) / name
        if not path.exists():
            path.symlink_to(PROGRAM)
        return path

    def spawn(self, name, *arguments):
        return self.mediator.spawn(self.program(name), *arguments)

    def run(self, name, *arguments, **environment):
        """The program's lines, as JSON where they are."""
        done = self.mediator.run(self.program(name), *arguments, **environment)
        return done.returncode, lines_of(done.stdout), done.stderr

    def contended_ms(self):
        """How long each tenant had the GPU while others were there."""
        before = len(self.mediator.text())
        self.mediator.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: 'Total processed' in self.mediator.text()[before:], 'the state is logged')
        found = re.findall(r'program=(\S+) weight=\d+ priority=\d+ contended_ms=(\d+)', self.mediator.text()[before:])
        return {name: int(value) for name, value in found}


def lines_of(text):
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            pass
    return found


class Shares(unittest.TestCase):
    def share(self, settings, arguments, seconds=5.0):
        """
        Shares of GPU time of tenants that saturate the GPU: by the mediator's account, and by the kernels that
        each got done, with the time that they take alone.
        """
        with Tenants(**settings) as tenants:
            alone = {name: self.alone(tenants, name, arguments[name]) for name in settings}
            start = time.monotonic() + 2.0
            running = {name: tenants.spawn(name, 'saturate', '--blocks', '2', '--from', start,
                                           '--to', start + seconds, *arguments[name])
                       for name in settings}
            time.sleep(max(0, start - time.monotonic()))
            first = tenants.contended_ms()
            time.sleep(max(0, start + seconds - 0.5 - time.monotonic()))
            last = tenants.contended_ms()
            work = {}
            for name, program in running.items():
                output, _ = program.communicate(timeout=120)
                self.assertEqual(program.returncode, 0, output)
                work[name] = lines_of(output)[-1]['kernels'] * alone[name]
        used = {name: last[name] - first[name] for name in settings}
        print(f'# {settings}: account {used}, work {work}')
        return ({name: value / sum(used.values()) for name, value in used.items()},
                {name: value / sum(work.values()) for name, value in work.items()})

    @staticmethod
    def alone(tenants, name, arguments):
        """Seconds of one kernel with nobody else there."""
        now = time.monotonic()
        status, lines, error = tenants.run(name, 'saturate', '--blocks', '2', '--from', now, '--to', now + 1.5,
                                           *arguments)
        assert status == 0, error
        return (lines[-1]['last'] - lines[-1]['first']) / lines[-1]['kernels']

    def check(self, weights, arguments):
        settings = {name: f'weight={weight}' for name, weight in weights.items()}
        by_time, by_work = self.share(settings, arguments)
        for name, weight in weights.items():
            entitled = weight / sum(weights.values())
            self.assertAlmostEqual(by_time[name], entitled, delta=0.03, msg=f'{name} by time: {by_time}')
            self.assertAlmostEqual(by_work[name], entitled, delta=0.1, msg=f'{name} by work: {by_work}')

    SHORT = ['--iterations', '5000', '--batch', '32']
    LONG = ['--iterations', '40000', '--batch', '1']

    def test_equal_weights_unlike_kernels(self):
        self.check({'a': 50, 'b': 50}, {'a': self.SHORT, 'b': self.LONG})

    def test_one_to_three(self):
        self.check({'a': 25, 'b': 75}, {'a': self.SHORT, 'b': self.LONG})

    def test_ten_to_ninety(self):
        self.check({'a': 10, 'b': 90}, {'a': self.LONG, 'b': self.SHORT})

    def test_several_streams_are_counted_once(self):
        self.check({'a': 50, 'b': 50}, {'a': [*self.SHORT, '--streams', '4'], 'b': self.SHORT})


if __name__ == '__main__':
    tap.main()
