#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Fault storm: one tenant misbehaves again and again, three others compute and compare every bit.

usage: storm.py BUNDLE [--driver LIBRARY] [--rounds N] [--json FILE]

BUNDLE is what tests/gpu/bundle.sh made. The misdeeds, in turn: an illegal address, a kernel without end (ended by
the watchdog), all the memory there is, SIGKILL in the middle of a kernel, garbage in the command ring, a trap. Passed
when no computation failed, every misdeed met its error, all executors are gone and the GPU's free memory is what it
was before.
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
CHECKERS = 3


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
    def __init__(self, bundle, driver):
        super().__init__(bundle, driver)
        self.failures = []
        self.counts = {}

    def spawn(self, name, *arguments):
        return subprocess.Popen([str(part) for part in (self.program(name), *arguments)],
                                env=self.environment(False), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

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

    def wait_gone(self, count, what):
        end = time.monotonic() + 2
        while self.executors() > count:
            if time.monotonic() > end:
                self.failures.append(f'{what}: an executor is left after 2 s')
                return
            time.sleep(0.01)

    def residue(self):
        """What a killed tenant had in memory, looked for by the next one that gets as much."""
        owner = self.spawn('owner', 'fill', '--blocks', 1024, '--to', time.monotonic() + 60)
        while 'filled' not in owner.stdout.readline():
            if owner.poll() is not None:
                self.failures.append('residue: the owner ended')
                return
        owner.kill()
        owner.communicate(timeout=60)
        self.wait_gone(0, 'residue')
        output, error = self.spawn('thief', 'residue', '--blocks', 1024).communicate(timeout=120)
        words = json.loads(output.splitlines()[-1])['words'] if '{' in output else None
        print(f'words of a killed tenant in 1 GiB of fresh memory: {words}')
        if words != 0:
            self.failures.append(f'residue: {words} {error.strip()[-200:]}')

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
            time.sleep(random.uniform(0.3, 1.0))
            if what == 'garbage' and not garbage_write(process.pid):
                self.failures.append('garbage: the process has no channel')
            if what == 'garbage':
                time.sleep(0.2)
            process.kill()
            process.communicate(timeout=60)
        self.counts[what] = self.counts.get(what, 0) + 1
        self.wait_gone(CHECKERS, what)

    def measure_storm(self, rounds):
        kinds = ['illegal', 'endless', 'hog', 'kill', 'garbage', 'trap']
        folder = self.work / 'storm'
        folder.mkdir()
        shares.SETTINGS.append('program:bad kernel-ms=300 memory-mib=4096')
        self.mediator = shares.Mediator(folder, self.bundle, self.driver, '--quarantine-faults', '0')
        before = self.free_memory()
        self.wait_gone(0, 'start')
        seconds = 3600
        checkers = [self.spawn(f'good{i}', 'check', '--blocks', 8, '--iterations', 5000, '--pause', 1000,
                               '--to', time.monotonic() + seconds) for i in range(CHECKERS)]
        end = time.monotonic() + 30
        while self.executors() < CHECKERS and time.monotonic() < end:
            time.sleep(0.1)
        begun = time.monotonic()
        for i in range(rounds):
            self.misdeed(kinds[i % len(kinds)])
            dead = [checker for checker in checkers if checker.poll() is not None]
            if dead:
                break
        took = time.monotonic() - begun
        for i, checker in enumerate(checkers):
            if checker.poll() is None:
                checker.send_signal(2)
            output, error = checker.communicate(timeout=60)
            lines = [json.loads(line) for line in output.splitlines() if line.startswith('{')]
            if checker.returncode or len(lines) < 3:
                self.failures.append(f'computation {i} ended with {checker.returncode}: {output} {error}')
                continue
            print(f"computation {i}: {lines[1]['rounds']} rounds, {lines[1]['wrong']} wrong, p50 "
                  f"{lines[2]['median']:.0f} us, p99 {lines[2]['p99']:.0f} us, most {lines[2]['most']:.0f} us")
            if lines[1]['wrong'] or not lines[1]['rounds']:
                self.failures.append(f'computation {i}: {lines[1]}')
        self.wait_gone(0, 'end')
        self.residue()
        after = self.free_memory()
        print(f'{sum(self.counts.values())} misdeeds {self.counts} in {took:.0f} s; free memory {before} before, '
              f'{after} after')
        # The driver itself keeps a little, once.
        if abs(before - after) > 64 << 20:
            self.failures.append('memory is missing')
        for failure in self.failures:
            print(f'FAILED: {failure}')
        self.results = {'misdeeds': self.counts, 'failures': self.failures, 'free_before': before,
                        'free_after': after}
        self.mediator.stop()


def main():
    parser = argparse.ArgumentParser(description='one tenant misbehaves, others compute')
    parser.add_argument('bundle', type=Path)
    parser.add_argument('--driver', default='libcuda.so.1')
    parser.add_argument('--rounds', type=int, default=200)
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    storm = Storm(options.bundle, options.driver)
    try:
        storm.measure_storm(options.rounds)
    finally:
        if storm.mediator and storm.mediator.process.poll() is None:
            storm.mediator.process.kill()
    if options.json:
        options.json.write_text(json.dumps(storm.results, indent=1) + '\n')
    sys.exit(1 if storm.failures else 0)


if __name__ == '__main__':
    main()
