#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Fault storm: one tenant misbehaves again and again, three others compute and compare every bit.

usage: storm.py BUNDLE [--driver LIBRARY] [--each N] [--kinds KIND,...] [--bound SECONDS] [--thief-mib N] [--json FILE]

BUNDLE is what tests/gpu/bundle.sh made. The misdeeds, in turn, N times each: an illegal address, a kernel without end
(ended by the watchdog), all the memory there is, SIGKILL in the middle of a kernel, garbage in the command ring, a trap.
Passed when no computation failed, every misdeed met its error, each time the executor was gone and the GPU's free
memory what it was before within the bound, of 1 s, after the program's end, and nothing of a killed tenant's is in the
memory that the next one gets, which takes all there is.
"""

import argparse
import contextlib
import glob
import json
import mmap
import os
import random
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import shares  # noqa: E402  (beside this file, wherever it lies)

EXPECTED = {'illegal': 'CUDA_ERROR_ILLEGAL_ADDRESS', 'endless': 'CUDA_ERROR_LAUNCH_TIMEOUT', 'trap': None}
KINDS = ('illegal', 'endless', 'hog', 'kill', 'garbage', 'trap')
CHECKERS = 3
# The driver itself keeps a little, once.
KEPT_BYTES = 64 << 20
# What a program with all the memory there is may leave: its context's, and what is too small for a piece of 1 MiB.
LEFT_BYTES = 1 << 30


class Watch:
    """A program that does nothing but say how much memory the GPU has free."""

    def __init__(self, process):
        self.process = process
        self.process.stdout.readline()

    def free(self):
        self.process.stdin.write('\n')
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f'no answer: {self.process.stderr.read()}')
        return json.loads(line)['free']

    def end(self):
        self.process.communicate(timeout=60)


def garbage_write(pid):
    """Over the memory that the process shares with its executor, the rings included; False: it has none yet."""
    for line in Path(f'/proc/{pid}/maps').read_text().splitlines():
        if 'vgpu-channel' not in line:
            continue
        for number in os.listdir(f'/proc/{pid}/fd'):
            path = f'/proc/{pid}/fd/{number}'
            try:
                if 'vgpu-channel' not in os.readlink(path):
                    continue
            except OSError:
                continue
            with open(path, 'r+b') as file, mmap.mmap(file.fileno(), 0) as memory:
                memory[64:4096] = random.randbytes(4032)
                memory[4096:4096 + 65536] = random.randbytes(65536)
            return True
    # The descriptor is closed once it is mapped: through the mapping itself.
    for line in Path(f'/proc/{pid}/maps').read_text().splitlines():
        if 'vgpu-channel' in line:
            start = int(line.split('-')[0], 16)
            with open(f'/proc/{pid}/mem', 'r+b', buffering=0) as memory:
                memory.seek(start + 64)
                memory.write(random.randbytes(4032))
                memory.seek(start + 4096)
                memory.write(random.randbytes(65536))
            return True
    return False


class Storm(shares.Bench):
    def __init__(self, options):
        super().__init__(options.bundle, options.driver)
        self.options = options
        self.failures = []
        self.counts = {}
        self.watch = None
        self.calm_bytes = 0
        # The longest time until an executor was gone, and until memory was back, by the kind of misdeed.
        self.longest = {}

    def spawn(self, name, *arguments):
        return subprocess.Popen([str(part) for part in (self.program(name), *arguments)],
                                env=self.environment(False), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def executors(self):
        """Of all the mediator's threads, for one of them starts them."""
        count = 0
        for thread in glob.glob(f'/proc/{self.mediator.process.pid}/task/*/children'):
            with contextlib.suppress(FileNotFoundError), open(thread) as file:
                count += len(file.read().split())
        return count

    def free_memory(self):
        """What a new program sees, when no other is there."""
        output, error = self.spawn('memory', 'memory').communicate(timeout=60)
        if not output:
            raise SystemExit(f'no answer: {error}')
        return json.loads(output.splitlines()[-1])['free']

    def wait_calm(self, executors, what):
        """After a program's end: until its executor is gone, and until the memory is back that it had."""
        begun = time.monotonic()
        waits = {'executor': lambda: self.executors() <= executors}
        if self.watch:
            waits['memory'] = lambda: self.watch.free() + KEPT_BYTES >= self.calm_bytes
        took = {}
        # Far beyond the bound, to say how long it did take.
        while len(took) < len(waits) and time.monotonic() - begun < 10 + self.options.bound:
            for name, is_over in waits.items():
                if name not in took and is_over():
                    took[name] = time.monotonic() - begun
            time.sleep(0.005)
        for name in waits:
            seconds = took.get(name, float('inf'))
            if seconds > self.options.bound:
                self.failures.append(f'{what}: its {name} is there after {self.options.bound} s ({seconds:.2f} s)')
            self.longest.setdefault(what, {})
            self.longest[what][name] = max(seconds, self.longest[what].get(name, 0))

    def residue(self):
        """What a killed tenant had in memory, looked for by the next one, which takes all there is."""
        owner = self.spawn('owner', 'fill', '--blocks', 1024, '--to', time.monotonic() + 60)
        while 'filled' not in owner.stdout.readline():
            if owner.poll() is not None:
                self.failures.append('residue: the owner ended')
                return
        owner.kill()
        owner.communicate(timeout=60)
        self.wait_calm(0, 'residue')
        there = self.free_memory()
        self.wait_calm(0, 'residue')
        limit = ('--blocks', self.options.thief_mib) if self.options.thief_mib else ()
        output, error = self.spawn('thief', 'residue', *limit).communicate(timeout=600)
        self.wait_calm(0, 'residue')
        found = json.loads(output.splitlines()[-1]) if '"words"' in output else {'words': None, 'bytes': 0}
        print(f"words of a killed tenant in {found['bytes'] >> 20} of {there >> 20} MiB of free memory: {found['words']}")
        if found['words'] != 0:
            self.failures.append(f"residue: {found['words']} {error.strip()[-200:]}")
        if not limit and found['bytes'] + LEFT_BYTES < there:
            self.failures.append(f"residue: the thief got {found['bytes']} bytes only")

    def misdeed(self, what):
        if what in EXPECTED:
            output, error = self.spawn('bad', what).communicate(timeout=60)
            name = json.loads(output.splitlines()[-1]).get('name') if output.startswith('{') else None
            wanted = EXPECTED[what]
            if name == 'CUDA_SUCCESS' or name is None or (wanted and name != wanted):
                self.failures.append(f'{what}: {name} {error.strip()[-200:]}')
        elif what == 'hog':
            process = self.spawn('bad', 'hog')
            process.communicate(timeout=60)
            if process.returncode:
                self.failures.append(f'hog ended with {process.returncode}')
        else:
            process = self.spawn('bad', 'saturate', '--iterations', 20000, '--batch', 4,
                                 '--to', time.monotonic() + 5)
            # Its first line: it has a context.
            process.stdout.readline()
            time.sleep(random.uniform(0.1, 0.5))
            if what == 'garbage' and not garbage_write(process.pid):
                self.failures.append('garbage: the process has no channel')
            if what == 'garbage':
                time.sleep(0.2)
            process.kill()
            process.communicate(timeout=60)
        self.counts[what] = self.counts.get(what, 0) + 1
        self.wait_calm(CHECKERS + 1, what)

    def measure_storm(self):
        folder = self.work / 'storm'
        folder.mkdir()
        shares.SETTINGS.append('program:bad kernel-ms=300 memory-mib=4096')
        self.mediator = shares.Mediator(folder, self.bundle, self.driver, '--quarantine-faults', '0')
        before = self.free_memory()
        self.wait_calm(0, 'start')
        seconds = 3600
        checkers = [self.spawn(f'good{i}', 'check', '--blocks', 8, '--iterations', 5000, '--pause', 1000,
                               '--to', time.monotonic() + seconds) for i in range(CHECKERS)]
        for checker in checkers:
            checker.stdout.readline()
        self.watch = Watch(self.spawn('watch', 'watch'))
        # All have what they need.
        time.sleep(2)
        self.calm_bytes = self.watch.free()
        begun = time.monotonic()
        for i in range(self.options.each * len(self.options.kinds)):
            self.misdeed(self.options.kinds[i % len(self.options.kinds)])
            if any(checker.poll() is not None for checker in checkers):
                break
        took = time.monotonic() - begun
        self.watch.end()
        self.watch = None
        for i, checker in enumerate(checkers):
            if checker.poll() is None:
                checker.send_signal(2)
            output, error = checker.communicate(timeout=60)
            lines = [json.loads(line) for line in output.splitlines() if line.startswith('{')]
            if checker.returncode or len(lines) < 2:
                self.failures.append(f'computation {i} ended with {checker.returncode}: {output} {error}')
                continue
            did, took_us = lines[-2:]
            print(f"computation {i}: {did['rounds']} rounds, {did['wrong']} wrong, p50 {took_us['median']:.0f} us, "
                  f"p99 {took_us['p99']:.0f} us, most {took_us['most']:.0f} us")
            if did['wrong'] or not did['rounds']:
                self.failures.append(f'computation {i}: {did}')
        self.wait_calm(0, 'end')
        self.residue()
        after = self.free_memory()
        print(f'{sum(self.counts.values())} misdeeds {self.counts} in {took:.0f} s; free memory {before} before, '
              f'{after} after')
        for kind in self.options.kinds:
            print(f"{kind}: at most {self.longest[kind]['executor']:.3f} s until the executor was gone, "
                  f"{self.longest[kind]['memory']:.3f} s until its memory was back")
        if abs(before - after) > KEPT_BYTES:
            self.failures.append('memory is missing')
        for failure in self.failures:
            print(f'FAILED: {failure}')
        self.results = {'misdeeds': self.counts, 'failures': self.failures, 'free_before': before,
                        'free_after': after, 'longest': self.longest}
        self.mediator.stop()


def main():
    parser = argparse.ArgumentParser(description='one tenant misbehaves, others compute')
    parser.add_argument('bundle', type=Path)
    parser.add_argument('--driver', default='libcuda.so.1')
    parser.add_argument('--each', type=int, default=200, help='rounds of each kind')
    parser.add_argument('--kinds', type=lambda text: text.split(','), default=KINDS)
    parser.add_argument('--bound', type=float, default=1.0, help='seconds until all is as before')
    parser.add_argument('--thief-mib', type=int, help='what is looked through in the end; usual: all that is free')
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    if not set(options.kinds) <= set(KINDS) or options.each < 1:
        parser.error(f'kinds are {KINDS}')
    storm = Storm(options)
    try:
        storm.measure_storm()
    finally:
        if storm.mediator and storm.mediator.process.poll() is None:
            storm.mediator.process.kill()
    if options.json:
        options.json.write_text(json.dumps(storm.results, indent=1) + '\n')
    sys.exit(1 if storm.failures else 0)


if __name__ == '__main__':
    main()
