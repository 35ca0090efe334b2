#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How tenants share one GPU: by native time slicing, and through the mediator's scheduler, in one run.

usage: shares.py BUNDLE [--driver LIBRARY] [--quick] [--json FILE] [--only shares|classes|mps]...

BUNDLE is what tests/gpu/bundle.sh made. Tenants saturate the GPU with kernels of 100 us and of 20 ms, whose length
alone is measured first; a tenant's GPU time is the number of its kernels times that length. The lines "goal" say
whether what issue 4 asks for was reached; the exit status is 1 if one was missed. About 90 seconds on a GPU;
--quick, for a software GPU, only shows that it runs.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PARTS = ('shares', 'classes', 'mps')
SETTINGS = [
    'program:w25 weight=25', 'program:w75 weight=75', 'program:w10 weight=10', 'program:w90 weight=90',
    'program:high priority=high', 'program:low priority=low',
]


def percentiles(sample):
    return f"p50 {sample['median']:.0f} p90 {sample['p90']:.0f} p99 {sample['p99']:.0f} us"


class Mediator:
    def __init__(self, folder, bundle, driver, *options, begins='CUDA initialized'):
        self.folder = folder
        self.socket = folder / 'mediator.sock'
        self.log = folder / 'mediator.log'
        command = [bundle / 'bin/mediator_phase3', '--socket', self.socket, '--log', self.log,
                   '--executor', bundle / 'bin/cuda-executor', '--driver', driver, '--heartbeat', '60',
                   '--executor-environment', 'LD_LIBRARY_PATH', '--tenant-per-program', 'yes',
                   '--allow-pageable-access', 'yes', *options]
        for line in SETTINGS:
            command += ['--tenant', line]
        library = os.environ.get('LD_LIBRARY_PATH')
        self.process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, 'LD_LIBRARY_PATH': f'{bundle}/lib' + (f':{library}' if library else '')})
        end = time.monotonic() + 60
        try:
            while begins not in self.text():
                if time.monotonic() > end or self.process.poll() is not None:
                    raise SystemExit(f'the mediator does not start:\n{self.text()}')
                time.sleep(0.1)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def text(self):
        return self.log.read_text() if self.log.exists() else ''

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


class Bench:
    def __init__(self, bundle, driver, quick=False):
        self.bundle = bundle.resolve()
        self.driver = driver
        self.quick = quick
        self.work = Path(tempfile.mkdtemp(prefix='vgpu-shares-'))
        self.results = {}
        self.missed = 0
        self.mediator = None
        self.kernels = {}  # name: (arguments, microseconds)
        self.mps = {}      # environment of programs under NVIDIA's MPS

    def program(self, name):
        path = self.work / name
        if not path.exists():
            path.symlink_to(self.bundle / 'bin/tenant')
        return path

    def environment(self, native):
        library = os.environ.get('LD_LIBRARY_PATH')
        if native:
            if self.driver == 'libcuda.so.1':
                return {**os.environ, **self.mps}
            # The library under the name that programs load.
            native_folder = self.work / 'native'
            native_folder.mkdir(exist_ok=True)
            if not (native_folder / 'libcuda.so.1').exists():
                (native_folder / 'libcuda.so.1').symlink_to(Path(self.driver).resolve())
            return {**os.environ, 'LD_LIBRARY_PATH': str(native_folder)}
        return {**os.environ, 'VGPU_SOCKET': str(self.mediator.socket), 'VGPU_TRANSPORT': 'local',
                'LD_LIBRARY_PATH': f'{self.bundle}/guest' + (f':{library}' if library else '')}

    def run(self, tenants, native=False, seconds=4.0, warm=1.0):
        """tenants: {name: arguments}; the last line of JSON of each. The time begins when all of them have contexts."""
        if self.quick:
            seconds, warm = 1.0, 0.5
        running = {}
        for name, arguments in tenants.items():
            command = [self.program(name), *arguments, '--told']
            running[name] = subprocess.Popen([str(part) for part in command], env=self.environment(native),
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for process in running.values():
            process.stdout.readline()
        start = time.monotonic() + warm
        answers = {}
        for process in running.values():
            # Why one has ended already is told below.
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(f'{start} {start + seconds}\n')
                process.stdin.flush()
        for name, process in running.items():
            output, _ = process.communicate(timeout=120)
            if process.returncode:
                raise SystemExit(f'{name} ended with {process.returncode}: {output}')
            answers[name] = json.loads(output.splitlines()[-1])
        return answers

    def calibrate(self):
        for name, microseconds, batch in (('short', 100, 50), ('long', 20000, 1), ('request', 1000, 1)):
            answer = self.run({'calibrate': ['calibrate', '--microseconds', microseconds]}, native=True)['calibrate']
            self.kernels[name] = (['--iterations', answer['iterations'], '--batch', batch], answer['microseconds'])
            print(f"# a {name} kernel: {answer['iterations']} iterations, {answer['microseconds']:.1f} us alone",
                  flush=True)

    def saturate(self, kinds, **how):
        """kinds: {tenant: kind of kernel}; the part of the GPU's time that each used."""
        answers = self.run({name: ['saturate', *self.kernels[kind][0]] for name, kind in kinds.items()}, **how)
        used = {}
        for name, answer in answers.items():
            span = answer['last'] - answer['first']
            used[name] = answer['kernels'] * self.kernels[kinds[name]][1] / 1e6 / span if span else 0
        return used

    def requests(self, others, name='high', **how):
        tenants = {name: ['requests', *self.kernels['request'][0], '--pause', 4000]}
        tenants.update({other: ['saturate', *self.kernels[kind][0]] for other, kind in others.items()})
        return self.run(tenants, **how)[name]

    def goal(self, text, value, reached):
        print(f"goal: {text}: {value:.4f} {'reached' if reached else 'MISSED'}", flush=True)
        self.results[text] = value
        self.missed += not reached

    @staticmethod
    def jain(values):
        if not any(values):
            return 0.0
        return sum(values) ** 2 / (len(values) * sum(value * value for value in values))

    def shares(self, title, used, weights):
        """The worst deviation, as a part of what a tenant is entitled to, and what all have together."""
        total = sum(used.values()) or 1e-6
        texts = []
        worst = 0.0
        for name, value in used.items():
            entitled = weights[name] / sum(weights.values())
            worst = max(worst, abs(value / total / entitled - 1))
            texts.append(f'{name} {value / total:.4f} ({entitled:.4f})')
        print(f"{title}: {', '.join(texts)}; together {total:.4f}", flush=True)
        self.results[title] = used
        return worst, total

    def mps_measure(self):
        """NVIDIA's MPS: one context's work beside the other's, without shares, and a fault of one ends all."""
        if not shutil.which('nvidia-cuda-mps-control'):
            print('MPS: not here', flush=True)
            return
        folder = self.work / 'mps'
        folder.mkdir()
        self.mps = {'CUDA_MPS_PIPE_DIRECTORY': str(folder), 'CUDA_MPS_LOG_DIRECTORY': str(folder)}
        environment = {**os.environ, **self.mps}
        started = subprocess.run(['nvidia-cuda-mps-control', '-d'], env=environment, check=False,
                                 capture_output=True, text=True, timeout=20)
        try:
            if started.returncode:
                print(f'MPS: does not start: {started.stderr.strip()}', flush=True)
                return
            self.shares('MPS, 100 us beside 20 ms', self.saturate({'a': 'short', 'b': 'long'}, native=True),
                        {'a': 1, 'b': 1})
            for kind in 'short', 'long':
                beside = self.requests({'a': kind}, native=True, seconds=3)
                print(f"MPS: 1 ms requests beside {kind} kernels: {percentiles(beside)}", flush=True)
        finally:
            subprocess.run(['nvidia-cuda-mps-control'], input='quit\n', env=environment, check=False, text=True,
                           capture_output=True, timeout=30)
            self.mps = {}

    def measure(self, parts):
        self.calibrate()
        if 'mps' in parts:
            self.mps_measure()
        folder = self.work / 'on'
        folder.mkdir()
        if 'shares' in parts:
            self.shares_measure(folder)
        if 'classes' in parts:
            self.classes_measure(folder)

    def shares_measure(self, on_folder):
        short_long = {'a': 'short', 'b': 'long'}
        alone = self.saturate({'a': 'short'}, native=True, seconds=2)['a']
        native = self.saturate(short_long, native=True)
        _, native_total = self.shares('native time slicing, 100 us beside 20 ms', native, {'a': 1, 'b': 1})
        folder = self.work / 'off'
        folder.mkdir()
        self.mediator = Mediator(folder, self.bundle, self.driver, '--policy', 'none')
        off = self.saturate({'a': 'short'}, seconds=2)['a']
        self.mediator.stop()
        self.mediator = Mediator(on_folder, self.bundle, self.driver)
        on = self.saturate({'a': 'short'}, seconds=2)['a']
        print(f'one tenant: native {alone:.4f}, scheduler off {off:.4f}, on {on:.4f} of the GPU', flush=True)
        self.goal('one tenant alone, scheduler on to off', on / max(off, 1e-6), on > 0.985 * off)

        # A turn with long kernels is one of them, 20 ms: enough turns of each tenant that one more tells little.
        for count, seconds in ((2, 4), (4, 8), (8, 20)):
            kinds = {f't{i}': 'short' if i % 2 == 0 else 'long' for i in range(count)}
            used = self.saturate(kinds, seconds=seconds, warm=1 + count / 4)
            worst, total = self.shares(f'{count} equal tenants', used, dict.fromkeys(kinds, 1))
            self.goal(f'{count} equal tenants, worst deviation', worst, worst <= 0.03)
            self.goal(f"{count} equal tenants, Jain's index", self.jain(list(used.values())),
                      self.jain(list(used.values())) >= 0.99)
            ratio = max(used.values()) / max(min(used.values()), 1e-6)
            self.goal(f'{count} equal tenants, most to least', ratio, ratio <= 1.05)
            if count == 2:
                self.goal('aggregate to native time slicing', total / native_total, total >= native_total)
        for one, other in (('w25', 'w75'), ('w10', 'w90')):
            weights = {one: int(one[1:]), other: int(other[1:])}
            # A round of both is 150 ms, and what is counted has one turn more or less of it.
            used = self.saturate({one: 'short', other: 'long'}, seconds=20)
            worst, _ = self.shares(f'weights {one[1:]}:{other[1:]}', used, weights)
            self.goal(f'weights {one[1:]}:{other[1:]}, deviation', worst, worst <= 0.03)
        self.mediator.stop()

    def classes_measure(self, folder):
        native_high = {}
        single = self.requests({}, native=True, seconds=2)
        print(f"native, 1 ms requests: alone {percentiles(single)}", flush=True)
        for kind in 'short', 'long':
            native_high[kind] = self.requests({'a': kind}, native=True, seconds=3)
            print(f"native time slicing: 1 ms requests beside {kind} kernels: {percentiles(native_high[kind])}",
                  flush=True)
        (folder / 'mediator.log').unlink(missing_ok=True)
        self.mediator = Mediator(folder, self.bundle, self.driver)
        single = self.requests({}, seconds=2)
        for kind in 'short', 'long':
            beside = self.requests({'t0': kind}, seconds=4)
            print(f"high priority, 1 ms requests: alone {percentiles(single)}; beside "
                  f"{kind} kernels {percentiles(beside)}", flush=True)
            self.goal(f'high priority beside {kind} kernels, p99 to alone', beside['p99'] / single['p99'],
                      beside['p99'] <= 1.25 * single['p99'])
            self.goal(f'high priority beside {kind} kernels, p99 to native time slicing',
                      beside['p99'] / native_high[kind]['p99'], beside['p99'] <= native_high[kind]['p99'])
        self.mediator.stop()
        # What is the scheduler's, and what the GPU's own switching between programs.
        (folder / 'mediator.log').unlink(missing_ok=True)
        self.mediator = Mediator(folder, self.bundle, self.driver, '--policy', 'none')
        for kind in 'short', 'long':
            beside = self.requests({'t0': kind}, seconds=4)
            print(f"without a scheduler, 1 ms requests beside {kind} kernels: {percentiles(beside)}", flush=True)
        self.mediator.stop()


def main():
    parser = argparse.ArgumentParser(description='how tenants share a GPU')
    parser.add_argument('bundle', type=Path)
    parser.add_argument('--driver', default='libcuda.so.1')
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--only', action='append', choices=PARTS)
    options = parser.parse_args()
    bench = Bench(options.bundle, options.driver, options.quick)
    try:
        bench.measure(options.only or PARTS)
    finally:
        if bench.mediator and bench.mediator.process.poll() is None:
            bench.mediator.process.kill()
    if options.json:
        options.json.write_text(json.dumps(bench.results, indent=1) + '\n')
    sys.exit(1 if bench.missed and not options.quick else 0)


if __name__ == '__main__':
    main()
