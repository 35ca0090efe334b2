#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where the time of each request of a high-class tenant goes, beside one that saturates the GPU.

usage: trace.py BUNDLE [--driver LIBRARY] [--quick] [--seconds N]

BUNDLE is what tests/gpu/bundle.sh made. Executors load a driver that writes down their launches and what they wait for
(trace_driver.c), so each request is taken apart on one clock:

  wake     from the program's call to the executor's launch: the doorbell, the executor's wake-up
  launch   the driver's call
  mark     from then until the executor asks for what it waits for (a mark, or the stream itself) for the first time
  gpu      until it sees that it is over; of that 'gap' since it last saw that it was not
  reply    until the program goes on

and of the other tenant: kernels in flight when the request's was launched ('flight'), launches of its after that until
the request was over ('late'), and how long after it the last of them was ('until', us). Lines of the table are
parts of all requests, then means of the slowest hundredth; after it the ten slowest. The same with the scheduler off.
"""

import argparse
import bisect
import os
import re
import struct
import sys
from pathlib import Path

from shares import Bench, Mediator

LAUNCH, MARK, EVENT_OVER, STREAM_OVER, UNFINISHED = range(1, 6)
COLUMNS = ('total', 'wake', 'launch', 'mark', 'gpu', 'gap', 'reply', 'flight', 'late', 'until')


class Trace:
    """What an executor did, in nanoseconds of the monotonic clock."""

    def __init__(self, path):
        self.entries = []
        data = path.read_bytes()
        for began, took, unfinished, thing, kind in struct.iter_unpack('<QQQII', data):
            if not began:
                break
            self.entries.append((began, took, unfinished, thing, kind))
        self.begins = [entry[0] for entry in self.entries]
        self.launches = [entry[0] for entry in self.entries if entry[4] == LAUNCH]
        # When how many launches were known to be over: those before the mark that was seen.
        self.over_at, self.over_count = [0], [0]
        launched, marked = 0, {}
        for began, took, _, thing, kind in self.entries:
            if kind == LAUNCH:
                launched += 1
            elif kind == MARK:
                marked[thing] = launched
            elif kind != UNFINISHED:
                count = launched if kind == STREAM_OVER else marked.get(thing, 0)
                self.over_at.append(began + took)
                self.over_count.append(max(self.over_count[-1], count))

    def in_flight(self, when):
        return bisect.bisect(self.launches, when) - self.over_count[bisect.bisect(self.over_at, when) - 1]

    def launched_between(self, begin, end):
        return self.launches[bisect.bisect(self.launches, begin):bisect.bisect(self.launches, end)]


def take_apart(begin, end, high, low):
    """A row for the request, in microseconds; None: what it did is not in the trace."""
    steps = high.entries[bisect.bisect_left(high.begins, begin):bisect.bisect(high.begins, end)]
    launch = next((step for step in steps if step[4] == LAUNCH), None)
    over = next((step for step in reversed(steps) if step[4] in (EVENT_OVER, STREAM_OVER)), None)
    if not launch or not over:
        return None
    launched = launch[0] + launch[1]
    asked = next((step for step in steps if step[0] >= launched), over)[0]
    seen = over[0] + over[1]
    late = low.launched_between(launch[0], seen)
    return {
        'total': (end - begin) / 1e3, 'wake': (launch[0] - begin) / 1e3, 'launch': launch[1] / 1e3,
        'mark': (asked - launched) / 1e3, 'gpu': (seen - asked) / 1e3,
        'gap': (seen - over[2]) / 1e3 if over[2] >= launched else 0, 'reply': (end - seen) / 1e3,
        'flight': low.in_flight(launch[0]), 'late': len(late), 'until': (late[-1] - launch[0]) / 1e3 if late else 0,
    }


def row_print(title, row):
    print(f"| {title} | {' | '.join(f'{row[column]:.0f}' for column in COLUMNS)} |", flush=True)


def table_print(rows):
    rows.sort(key=lambda row: row['total'])
    print(f"| | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}")
    for title, part in ('p50', 0.5), ('p90', 0.9), ('p99', 0.99):
        row_print(f'{title} of each', {column: sorted(row[column] for row in rows)[int((len(rows) - 1) * part)]
                                       for column in COLUMNS})
    slowest = rows[-max(1, len(rows) // 100):]
    row_print('slowest 1%, mean', {column: sum(row[column] for row in slowest) / len(slowest) for column in COLUMNS})
    for row in rows[-10:]:
        row_print('slow', row)


class Traced:
    def __init__(self, bench, seconds):
        self.bench = bench
        self.seconds = seconds
        self.folder = bench.work / 'trace'
        self.folder.mkdir()
        self.folder.chmod(0o777)
        bench.work.chmod(0o755)
        os.environ['VGPU_TRACE_FOLDER'] = str(self.folder)
        if bench.driver != 'libcuda.so.1':
            # For the driver of the bundle's executors, under the name that ours is linked with.
            library = bench.environment(True)['LD_LIBRARY_PATH']
            os.environ['LD_LIBRARY_PATH'] = library

    def executor_of(self, name):
        text = self.bench.mediator.log.read_text()
        # The last program of that name.
        client = re.findall(rf'process (\d+) \({name}\) connected', text)[-1]
        return int(re.findall(rf'client={client}: ready, executor pid (\d+)', text)[-1])

    def measure(self, title, kind, *options):
        folder = self.bench.work / f'mediator-{title}-{kind}'.replace(' ', '-')
        folder.mkdir()
        self.bench.mediator = Mediator(folder, self.bench.bundle, str(self.bench.bundle / 'trace/libtrace_driver.so'),
                                       '--executor-environment', 'VGPU_TRACE_FOLDER', *options)
        tenants = {'high': ['requests', *self.bench.kernels['request'][0], '--pause', 4000, '--each'],
                   't0': ['saturate', *self.bench.kernels[kind][0]]}
        requests = self.bench.run(tenants, seconds=self.seconds)['high']['each']
        high, low = (Trace(self.folder / str(self.executor_of(name))) for name in ('high', 't0'))
        self.bench.mediator.stop()
        rows = [row for row in (take_apart(begin, end, high, low) for begin, end in requests) if row]
        print(f'\n{title}, 1 ms requests beside {kind} kernels: {len(rows)} of {len(requests)} requests taken apart, us')
        if rows:
            table_print(rows)
        return len(rows)


def main():
    parser = argparse.ArgumentParser(description='where the time of requests goes')
    parser.add_argument('bundle', type=Path)
    parser.add_argument('--driver', default='libcuda.so.1')
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--seconds', type=float, default=8)
    options = parser.parse_args()
    bench = Bench(options.bundle, options.driver, options.quick)
    found = []
    try:
        bench.calibrate()
        traced = Traced(bench, options.seconds)
        for kind in 'short', 'long':
            found.append(traced.measure('scheduled', kind))
            found.append(traced.measure('scheduler off', kind, '--policy', 'none'))
    finally:
        if bench.mediator and bench.mediator.process.poll() is None:
            bench.mediator.process.kill()
    sys.exit(0 if all(found) else 1)


if __name__ == '__main__':
    main()
