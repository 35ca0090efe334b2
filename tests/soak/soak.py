#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Many tenants for a long time on the software GPU: what the host side holds must not grow.

usage: soak.py --build DIRECTORY [--tenants N] [--processes N] [--seconds N] [--interval N] [--json FILE]

Each tenant is a program name with the setting tenant-per-program, over the local transport: to the mediator that is a VM
of its own (a share, limits, a page, executors), without the guest's kernel and QEMU. Of each tenant's programs one
computes the whole time and compares its results; the others start, do the same for some seconds, end (one in eight is
killed in the middle) and are started again.

Looked at: memory, descriptors and threads of the mediator, its keeper and the executors, children, memory files. Passed
when no result was wrong, no program failed, nothing of it grows while all compute (a straight line through the samples),
and at rest everything is as it was at rest before, to the descriptor.
"""

import argparse
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / 'end_to_end'), str(Path(__file__).resolve().parents[1])]
os.environ.setdefault('VGPU_BUILD', str(Path(__file__).resolve().parents[2] / 'build'))

from processes import children_of  # noqa: E402  (found by the line above)
from stack import Mediator, wait_until  # noqa: E402

# Samples of the beginning, while the programs come, say nothing.
WARM_PART = 0.2
# Growth over the whole run that is accepted, beside what chance explains (three standard errors of the line's rise).
GROWTH_PART = 0.05
# Each of an executor's threads has a heap of its own, of 72 KiB, from when it first runs a block: for most that is in the
# first moments, for some whenever the machine is busy.
GROWTH_EXECUTOR_KIB = 160
# An allocator does not give everything back.
REST_KIB = 1024
REST_SECONDS = 120
# A run so short tells of descriptors, threads and files; of memory only whether much of it goes.
SHORT_SECONDS = 60
KILLED_EACH = 8
LOOK_SECONDS = 0.05


class Process:
    """What the kernel says of a process; the fields are 0 when it is gone."""

    def __init__(self, pid):
        self.pid = pid
        self.rss_kib = self.own_kib = self.threads = self.fds = 0
        self.memory_files = set()
        try:
            with open(f'/proc/{pid}/status', encoding='ascii', errors='replace') as file:
                status = dict(line.split(':', 1) for line in file.read().splitlines() if ':' in line)
            names = os.listdir(f'/proc/{pid}/fd')
        except OSError:
            return
        self.own_kib = int(status.get('RssAnon', '0').split()[0])
        self.rss_kib = self.own_kib + int(status.get('RssShmem', '0').split()[0])
        self.threads = int(status['Threads'])
        self.fds = len(names)
        self.names = names

    def files_look(self):
        for name in getattr(self, 'names', ()):
            path = f'/proc/{self.pid}/fd/{name}'
            try:
                if os.readlink(path).startswith('/memfd:'):
                    self.memory_files.add(os.stat(path).st_ino)
            except OSError:
                pass
        return self


def keeper_of(folder):
    """The keeper of a mediator whose sockets are in that folder: it has forked away from it."""
    for entry in Path('/proc').iterdir():
        try:
            if entry.name.isdigit() and (entry / 'comm').read_text().strip() == 'vgpu-keeper' and \
                    os.readlink(entry / 'cwd') == str(folder):
                return int(entry.name)
        except OSError:
            pass
    return None


def line_through(points):
    """Rise from the first to the last abscissa of the straight line through the points, and its standard error."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    span = points[-1][0] - points[0][0]
    return slope * span, span * math.sqrt(rest / max(count - 2, 1) / spread)


class Slot:
    """The place of one program after another."""

    def __init__(self, soak, name, is_lasting):
        self.soak = soak
        self.name = name
        self.is_lasting = is_lasting
        self.process = None
        self.kill_at = None
        self.turn = 0

    def start(self, end):
        soak = self.soak
        life = end - time.monotonic() if self.is_lasting else soak.dice.uniform(*soak.life)
        to = min(time.monotonic() + life, end)
        self.turn += 1
        self.kill_at = None
        if not self.is_lasting and soak.dice.randrange(KILLED_EACH) == 0:
            self.kill_at = time.monotonic() + life / 2
        soak.started += 1
        self.process = subprocess.Popen(
            [soak.folder / self.name, 'check', '--blocks', '2', '--iterations', '200', '--pause',
             str(soak.pause_us // (4 if self.is_lasting else 1)), '--to', str(to)], env=soak.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def look(self, now):
        """False: nothing runs here."""
        if not self.process:
            return False
        if self.kill_at and now >= self.kill_at and self.process.poll() is None:
            self.process.kill()
        if self.process.poll() is None:
            return True
        output, error = self.process.communicate()
        was_killed = self.kill_at and self.process.returncode == -signal.SIGKILL
        self.soak.killed += bool(was_killed)
        if not was_killed:
            self.soak.result_take(self.name, self.process.returncode, output, error)
        self.process = None
        return False


class Soak:
    def __init__(self, options, mediator):
        self.options = options
        self.mediator = mediator
        self.folder = mediator.directory
        self.environment = mediator.client_environment()
        self.dice = random.Random(4)
        self.life = (2.0, 6.0) if options.seconds < 120 else (4.0, 20.0)
        # Two processors are to be busy, not overwhelmed, by however many programs there are.
        self.pause_us = 2000 * options.tenants * options.processes
        self.started = self.killed = self.ended = self.rounds = 0
        self.failures = []
        self.samples = []
        self.slots = []
        for number in range(options.tenants):
            name = f'tenant{number}'
            (self.folder / name).symlink_to(Path(os.environ['VGPU_BUILD']) / 'bench' / 'tenant')
            self.slots += [Slot(self, name, i == 0) for i in range(options.processes)]
        self.keeper = wait_until(lambda: keeper_of(self.folder), 'the keeper is there')

    def fail(self, text):
        self.failures.append(text)
        print(f'FAILED: {text}', flush=True)

    def result_take(self, name, code, output, error):
        self.ended += 1
        found = re.search(r'"rounds": (\d+), "wrong": (\d+)', output)
        if code or not found or int(found[2]):
            self.fail(f'{name} ended with {code}: {output[:200]} {error[-300:]}')
        else:
            self.rounds += int(found[1])

    def load(self, seconds, sampled):
        """All programs for that time; then none."""
        begin = time.monotonic()
        end = begin + seconds
        # Not all in one moment: that is the storm's test.
        ready = [(begin + i * min(seconds / 8, 20) / len(self.slots), slot) for i, slot in enumerate(self.slots)]
        next_sample = begin + self.options.interval
        while True:
            now = time.monotonic()
            runs = False
            for when, slot in ready:
                if slot.look(now):
                    runs = True
                elif when <= now < end - 1:
                    slot.start(end)
                    runs = True
            if sampled and now >= next_sample and now < end:
                self.sample_take(now - begin)
                next_sample += self.options.interval
            if now >= end and not runs:
                return
            if now > end + 120:
                raise SystemExit('programs do not end')
            time.sleep(LOOK_SECONDS)

    def executors(self):
        found = []
        for pid in children_of(self.mediator.process.pid):
            try:
                with open(f'/proc/{pid}/comm', encoding='ascii', errors='replace') as file:
                    if file.read().startswith('cuda-executor'):
                        found.append(pid)
            except OSError:
                pass
        return found

    def look(self):
        mediator = Process(self.mediator.process.pid).files_look()
        keeper = Process(self.keeper).files_look()
        executors = [Process(pid) for pid in self.executors()]
        return {
            'mediator_rss_kib': mediator.rss_kib, 'mediator_fds': mediator.fds, 'mediator_threads': mediator.threads,
            'keeper_rss_kib': keeper.rss_kib, 'keeper_fds': keeper.fds, 'keeper_threads': keeper.threads,
            'memory_files': len(mediator.memory_files | keeper.memory_files),
            'children': len(children_of(mediator.pid)),
            'executor_fds': sum(one.fds for one in executors),
            'executor_threads': sum(one.threads for one in executors),
            # Without the memory that is shared with the program, of which each page is touched sooner or later.
            'executors': {one.pid: (one.own_kib, one.fds, one.threads) for one in executors if one.own_kib},
        }

    def sample_take(self, when):
        sample = {'seconds': when, 'started': self.started, **self.look()}
        self.samples.append(sample)
        rss = [kib for kib, _, _ in sample['executors'].values()] or [0]
        print(f"| {when:.0f} | {self.started} | {sample['mediator_rss_kib']} | {sample['mediator_fds']} | "
              f"{sample['mediator_threads']} | {sample['keeper_rss_kib']} | {sample['keeper_fds']} | "
              f"{sample['memory_files']} | {sample['children']} | {sample['executor_fds']} | "
              f"{sample['executor_threads']} | {sum(rss) / len(rss):.0f} |", flush=True)

    def rest(self, wanted=None):
        """What is held when no program is there; waits until it is what is wanted, or has not changed for a second."""
        end = time.monotonic() + REST_SECONDS
        before = None
        while True:
            now = self.look()
            if not now['executors'] and (now == before if wanted is None else self.is_at_rest(now, wanted)):
                return now
            if time.monotonic() > end:
                return now
            before = now
            time.sleep(1)

    COUNTED = ('mediator_fds', 'mediator_threads', 'keeper_fds', 'keeper_threads', 'memory_files', 'children')
    # Threads that close and clean come as they are needed and leave when they are not: at rest none is too many.
    AS_NEEDED = ('mediator_threads', 'keeper_threads')
    MEMORY = ('mediator_rss_kib', 'keeper_rss_kib')
    # Of an executor that lives as long as the run; the others have fewer threads while they start.
    LASTING = ('executor_own_kib', 'executor_fds_each', 'executor_threads_each')

    def is_at_rest(self, now, wanted):
        return all(now[name] <= wanted[name] for name in self.COUNTED)

    def growth_check(self):
        """Nothing rises while all compute."""
        samples = self.samples[int(len(self.samples) * WARM_PART):]
        if len(samples) < 5:
            self.fail(f'{len(samples)} samples are too few')
            return
        lasting = set.intersection(*(set(sample['executors']) for sample in samples))
        if len(lasting) < self.options.tenants * 3 // 4:
            self.fail(f'{len(lasting)} executors have lasted for the whole time')
            return
        for sample in samples:
            for place, name in enumerate(self.LASTING):
                sample[name] = sum(sample['executors'][pid][place] for pid in lasting) / len(lasting)
        print('\n| | mean | rise in the run | accepted |\n|---|---|---|---|')
        for name in (*self.COUNTED, *self.MEMORY, *self.LASTING):
            points = [(sample['seconds'], sample[name]) for sample in samples]
            rise, error = line_through(points)
            mean = sum(y for _, y in points) / len(points)
            accepted = GROWTH_PART * mean + 3 * error
            if name == self.LASTING[0]:
                accepted = max(accepted, GROWTH_EXECUTOR_KIB)
            if name in self.MEMORY and self.options.seconds < SHORT_SECONDS:
                accepted = max(accepted, REST_KIB)
            print(f'| {name} | {mean:.1f} | {rise:+.1f} | {accepted:.1f} |')
            if rise > accepted and name not in self.AS_NEEDED:
                self.fail(f'{name} has grown by {rise:.1f} from {points[0][1]}')

    def rest_check(self, before, after):
        print('\n| at rest | before | after |\n|---|---|---|')
        for name in (*self.COUNTED, *self.MEMORY):
            print(f'| {name} | {before[name]} | {after[name]} |')
            if after[name] > before[name] + (REST_KIB if name in self.MEMORY else 0):
                self.fail(f'at rest {name} is {after[name]}, and was {before[name]}')

    def run(self):
        options = self.options
        self.mediator.wait_for_line('CUDA initialized')
        # Until every tenant and as many programs as there will be have been there once.
        self.load(max(6, options.seconds * WARM_PART / 2), False)
        before = self.rest()
        for slot in self.slots:
            slot.turn = 0
        self.started = self.killed = self.ended = self.rounds = 0
        print('| s | started | mediator KiB | fds | threads | keeper KiB | fds | memory files | children | '
              'executors\' fds | threads | KiB each |\n' + '|---' * 12 + '|', flush=True)
        self.load(options.seconds, True)
        self.growth_check()
        self.rest_check(before, self.rest(before))
        print(f'\n{self.started} programs of {options.tenants} tenants: {self.ended} ended, {self.killed} were killed; '
              f'{self.rounds} results, all compared')
        if not self.rounds or self.started < len(self.slots):
            self.fail('too little was computed')
        if options.json:
            Path(options.json).write_text(json.dumps({'before': before, 'samples': self.samples}))
        print('soak: ' + (f'{len(self.failures)} FAILED' if self.failures else 'passed'))
        return 1 if self.failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default=os.environ['VGPU_BUILD'])
    parser.add_argument('--tenants', type=int, default=64)
    parser.add_argument('--processes', type=int, default=4)
    parser.add_argument('--seconds', type=int, default=600)
    parser.add_argument('--interval', type=float, default=10)
    parser.add_argument('--json')
    options = parser.parse_args()
    os.environ['VGPU_BUILD'] = str(Path(options.build).resolve())
    programs = 2 * options.tenants * options.processes
    with Mediator('--tenant-per-program', 'yes', '--keep', '30', '--heartbeat', '5', '--connections-max', str(programs),
                  '--user-connections-max', str(programs), '--processes-max', str(programs), '--user-processes-max',
                  str(programs)) as mediator:
        try:
            return Soak(options, mediator).run()
        finally:
            mediator.stop(signal.SIGINT)


if __name__ == '__main__':
    sys.exit(main())
