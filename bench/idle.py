#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a program that does nothing costs the processors: itself, its executors, the mediator; relay and worker too.

usage: idle.py BUNDLE [--driver LIBRARY] [--seconds N] [--json FILE]

BUNDLE is what tests/gpu/bundle.sh made. A program that has used streams, events, many launches, copies and NVML
(idle.c) waits for its standard input, one with the GPU here and one with it at a worker. Meanwhile no process may use
more than 1% of a processor; the exit status is 1 if one did.
"""

import argparse
import contextlib
import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import shares  # noqa: E402  (beside this file, wherever it lies)

BOUND = 0.01
# What a process does at its start and with the last copies is over then.
SETTLE_SECONDS = 2


def processor_seconds(pid):
    """Of all threads of a process; None: it is gone."""
    try:
        fields = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def name_of(pid):
    try:
        return Path(f'/proc/{pid}/comm').read_text().strip()
    except OSError:
        return None


def tree_of(pid):
    """The process and all that descend from it; processes and threads end meanwhile."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f'/proc/{pid}/task').iterdir():
            with contextlib.suppress(OSError):
                for child in (task / 'children').read_text().split():
                    found += tree_of(int(child))
    return found


class Place:
    """A mediator, a worker perhaps, and a program that has become idle."""

    def __init__(self, bundle, driver, folder, worker):
        self.worker = self.mediator = self.program = None
        try:
            self.start(bundle, driver, folder, worker)
        except BaseException:
            self.kill()
            raise

    def start(self, bundle, driver, folder, worker):
        options, begins = ['--metrics', 'none'], 'CUDA initialized'
        if worker:
            self.worker_start(bundle, driver, folder)
            options += ['--worker', f'A=127.0.0.1:{self.port}', '--worker-credentials', folder / 'key.psk']
            driver, begins = '/nonexistent/libcuda.so.1', 'Listening on socket'
        self.mediator = shares.Mediator(folder, bundle, driver, *options, begins=begins)
        self.program = subprocess.Popen(
            [bundle / 'bin/idle'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, 'VGPU_SOCKET': str(self.mediator.socket), 'VGPU_TRANSPORT': 'local',
                 'LD_LIBRARY_PATH': f"{bundle}/guest:{os.environ.get('LD_LIBRARY_PATH', '')}"})
        for line in self.program.stdout:
            if line.startswith('idle'):
                self.said = line.strip()
                return
        raise SystemExit(f'the program ended with {self.program.wait()}:\n{self.mediator.log.read_text()}')

    def worker_start(self, bundle, driver, folder):
        # None that the kernel gives to a client meanwhile.
        first_of_clients = int(Path('/proc/sys/net/ipv4/ip_local_port_range').read_text().split()[0])
        self.port = random.randrange(max(1024, first_of_clients // 2), max(first_of_clients, 2048))
        (folder / 'key.psk').write_text(f'psk {secrets.token_hex(32)}\n')
        with open(folder / 'worker.log', 'w') as log:
            self.worker = subprocess.Popen(
                [bundle / 'bin/vgpu-worker', '--listen', f'127.0.0.1:{self.port}', '--credentials', folder / 'key.psk',
                 '--driver', driver, '--allow-pageable-access'], stdout=log, stderr=log,
                env={**os.environ, 'LD_LIBRARY_PATH': f"{bundle}/lib:{os.environ.get('LD_LIBRARY_PATH', '')}"})
        end = time.monotonic() + 60
        while 'listens on' not in (folder / 'worker.log').read_text():
            if time.monotonic() > end or self.worker.poll() is not None:
                raise SystemExit(f"the worker does not start:\n{(folder / 'worker.log').read_text()}")
            time.sleep(0.1)

    def processes(self):
        found = [self.program.pid, *tree_of(self.mediator.process.pid)]
        return found + (tree_of(self.worker.pid) if self.worker else [])

    def end(self):
        """The program computes once more; its exit status."""
        self.program.communicate('go on\n', timeout=60)
        return self.program.returncode

    def kill(self):
        for process in self.program, self.mediator and self.mediator.process, self.worker:
            if process:
                process.kill()
                process.wait()


def measure(options, folder):
    places = {}
    try:
        for name in ('here', 'worker'):
            (folder / name).mkdir()
            places[name] = Place(options.bundle.resolve(), options.driver, folder / name, name == 'worker')
        return measure_places(places, options.seconds)
    finally:
        for place in places.values():
            place.kill()


def measure_places(places, seconds):
    time.sleep(SETTLE_SECONDS)
    before = {name: {pid: (name_of(pid), processor_seconds(pid)) for pid in place.processes()}
              for name, place in places.items()}
    begun = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - begun
    after = {pid: processor_seconds(pid) for there in before.values() for pid in there}
    rows = [{'place': name, 'process': process, 'share': (after[pid] - used) / took}
            for name, there in before.items() for pid, (process, used) in there.items()
            # NVML's executor ends when nothing has been asked for some time.
            if used is not None and after[pid] is not None]
    return {'rows': rows, 'statuses': {name: place.end() for name, place in places.items()},
            'said': {name: place.said for name, place in places.items()}}


def main():
    parser = argparse.ArgumentParser(description='what an idle program costs')
    parser.add_argument('bundle', type=Path)
    parser.add_argument('--driver', default='libcuda.so.1')
    parser.add_argument('--seconds', type=float, default=10)
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='vgpu-idle-') as folder:
        results = measure(options, Path(folder))
    print(f'| the GPU | process | of a processor, in {options.seconds:.0f} s |\n|---|---|---|')
    for row in results['rows']:
        print(f"| {row['place']} | {row['process']} | {100 * row['share']:.2f}% |")
    busy = [row for row in results['rows'] if row['share'] > BOUND]
    for row in busy:
        print(f'FAILED: {row}')
    print(f"program: {results['said']}, then {results['statuses']}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + '\n')
    sys.exit(1 if busy or any(results['statuses'].values()) else 0)


if __name__ == '__main__':
    main()
