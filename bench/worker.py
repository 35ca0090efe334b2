#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the way to a worker costs: launch_bench with the executor here, at a worker on the loopback interface, and
at one behind a network of 0.1 and 1 ms of delay in each direction.

usage: worker.py [--build BUILD] [--full | --pack | --copies]

With --pack: vector_add of 4 million floats (32 MB there, 16 MB back) over links of several speeds, with bulk data
packed and as it is. With --copies: pageable copies of 64 MiB over the loopback interface by the number of lanes, and
what a GB costs the relay and the worker's processes of processor time.

As root the delay is netem's, between two network namespaces; where the kernel has no netem, a process in between
holds every piece of data back for that time, and costs some microseconds more itself. Prints a table.
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests' / 'end_to_end'), str(ROOT / 'tests' / 'worker'), str(ROOT / 'tests')]

# pylint: disable=wrong-import-position
from stack import Mediator, processor_seconds  # noqa: E402
from worker_stack import FAR, DelayLine, Namespace, WorkerStack  # noqa: E402

DELAYS_MS = (0.1, 1)
ROWS = ('launch_issue_0_parameters', 'launches_sustained', 'launch_and_synchronize', 'copy_8_bytes_h2d',
        'copy_8_bytes_d2h', 'copy_pageable_h2d_1_mib', 'copy_pageable_d2h_1_mib', 'copy_pageable_h2d_4_mib',
        'copy_pageable_d2h_4_mib', 'copy_pageable_h2d_64_mib', 'copy_pageable_d2h_64_mib',
        'vector_add_1000000_end_to_end')


def measure(mediator, build, full):
    command = [build / 'bench' / 'launch_bench'] + ([] if full else ['--quick'])
    done = mediator.run(*command, seconds=900)
    if done.returncode:
        sys.exit(f'launch_bench failed: {done.stdout}{done.stderr}{mediator.text()[-2000:]}')
    return {row['name']: row for row in map(json.loads, done.stdout.splitlines()) if 'name' in row}


def measure_delayed(delay_ms, build, full):
    """The results, and how the delay was made."""
    try:
        namespace = Namespace(delay_ms)
    except OSError as reason:
        line = DelayLine(delay_ms / 1000)
        with WorkerStack(connect_to=f'127.0.0.1:{line.port}') as stack:
            line.target = stack.worker.port
            return measure(stack.mediator, build, full), f'a process in between, for: {reason}'
    try:
        with WorkerStack(address=FAR, worker_wrapper=namespace.wrapper) as stack:
            return measure(stack.mediator, build, full), 'netem'
    finally:
        namespace.close()


def pack_measure(build):
    print('| link | as it is | packed |\n|---|---|---|')
    for megabits in (100, 300, 1000, 3000, 0):
        times = []
        for pack in ('no', 'yes'):
            line = DelayLine(0, megabits * 125000)
            options = {'connect_to': f'127.0.0.1:{line.port}'} if megabits else {}
            with WorkerStack('--worker-pack', pack, **options) as stack:
                line.target = stack.worker.port
                samples = []
                for _ in range(5):
                    start = time.monotonic()
                    done = stack.mediator.run(build / 'examples' / 'vector_add', 4000000)
                    samples.append(time.monotonic() - start)
                    if done.returncode:
                        sys.exit(done.stdout + done.stderr)
                times.append(sorted(samples)[2])
        print(f'| {f"{megabits} Mbit/s" if megabits else "loopback"} | {times[0]:.2f} s | {times[1]:.2f} s |', flush=True)


def copy_child(megabytes, turns):
    """In the program's place: says how long each direction took, and waits between them to be looked at."""
    cuda = ctypes.CDLL('libcuda.so.1')
    context, device, size = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.c_size_t(megabytes << 20)
    memory = ctypes.create_string_buffer(os.urandom(1 << 20) * megabytes, megabytes << 20)
    back = ctypes.create_string_buffer(megabytes << 20)
    calls = [cuda.cuInit(0), cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0), cuda.cuCtxSetCurrent(context),
             cuda.cuMemAlloc_v2(ctypes.byref(device), size), cuda.cuMemcpyHtoD_v2(device, memory, size),
             cuda.cuMemcpyDtoH_v2(back, device, size)]
    for copy, first, second in ((cuda.cuMemcpyHtoD_v2, device, memory), (cuda.cuMemcpyDtoH_v2, back, device)):
        print('ready', flush=True)
        sys.stdin.readline()
        start = time.monotonic()
        for _ in range(turns):
            calls.append(copy(first, second, size))
        calls.append(cuda.cuCtxSynchronize())
        print(time.monotonic() - start, flush=True)
        sys.stdin.readline()
    sys.exit(1 if any(calls) or memory.raw != back.raw else 0)


def copies_measure(counts, megabytes=64, turns=20):
    print('| lanes | | GB/s | relay, s/GB | worker, s/GB |\n|---|---|---|---|---|')
    for count in counts:
        with WorkerStack('--worker-lanes', str(count)) as stack:
            program = stack.mediator.spawn(sys.executable, Path(__file__).resolve(), '--copy-child', megabytes, turns,
                                           stdin=subprocess.PIPE)
            for direction in ('to the device', 'back'):
                if program.stdout.readline() != 'ready\n':
                    sys.exit(program.stdout.read() + stack.mediator.text()[-2000:])
                sides = stack.mediator.executors(), stack.worker.children()
                before = [sum(map(processor_seconds, side)) for side in sides]
                program.stdin.write('go\n')
                program.stdin.flush()
                seconds = float(program.stdout.readline())
                used = [sum(map(processor_seconds, side)) - start for side, start in zip(sides, before)]
                gigabytes = megabytes * 2**20 * turns / 1e9
                print(f'| {count} | {direction} | {gigabytes / seconds:.2f} | {used[0] / gigabytes:.2f} | '
                      f'{used[1] / gigabytes:.2f} |', flush=True)
                program.stdin.write('go\n')
                program.stdin.flush()
            if program.wait(60):
                sys.exit('the copy differs, or a call failed')


def cell(result):
    """The median, and of latencies the 99th percentile."""
    late = f' ({result["p99"]:.4g})' if 'p99' in result else ''
    return f'{result["median"]:.4g}{late}'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default=str(ROOT / 'build'))
    parser.add_argument('--full', action='store_true', help='more samples and larger copies')
    parser.add_argument('--pack', action='store_true')
    parser.add_argument('--copies', nargs='?', const='0,1,2,4', metavar='LANES', help='such as 0,4')
    parser.add_argument('--copy-child', nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ['VGPU_BUILD'] = options.build
    build = Path(options.build).resolve()
    if options.copy_child:
        copy_child(*options.copy_child)
    if options.copies:
        copies_measure([int(count) for count in options.copies.split(',')])
        return
    if options.pack:
        pack_measure(build)
        return
    results = {}
    with Mediator() as mediator:
        results['executor here'] = measure(mediator, build, options.full)
    with WorkerStack() as stack:
        results['worker, loopback'] = measure(stack.mediator, build, options.full)
    how = ''
    for delay in DELAYS_MS:
        results[f'worker, {delay} ms'], how = measure_delayed(delay, build, options.full)
    print(f'Delay each way by {how}.\n')
    print('| | unit | ' + ' | '.join(results) + ' |')
    print('|---|---|' + '---|' * len(results))
    for row in ROWS:
        if all(row in result for result in results.values()):
            values = [cell(result[row]) for result in results.values()]
            print(f'| {row} | {next(iter(results.values()))[row]["unit"]} | ' + ' | '.join(values) + ' |')


if __name__ == '__main__':
    main()
