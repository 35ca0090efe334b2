#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The same unmodified programs natively, through ours and through each peer, in turns, in one run.

usage: peers.py BUNDLE [PEERS] [--driver LIBRARY] [--only STEP]... [--turns N] [--budget SECONDS] [--json FILE]
                [--quick]

BUNDLE is what tests/gpu/bundle.sh made, PEERS a folder with the peers (peer_sides.py says how it is laid out). Steps:

    bench       launch_bench, vector_add as a whole process, and runtime_bench where nvcc is
    frameworks  PyTorch: training, GPT-2; what they compute must be what they compute natively
    programs    which programs pass
    fairness    two and four tenants that saturate the GPU with kernels of 100 us and of 20 ms; Jain's index of their
                GPU time

A program that fails, or takes ten times as long as natively (60 to 240 s), is a result and is reported, and not run
again. After --budget seconds nothing new is begun, and what then runs is not counted. The tables are in Markdown.
--quick, for a software GPU, only shows that it runs. Exit status 1 if one of ours failed.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from peer_report import Report  # noqa: E402  (beside this file, wherever it lies)
from peer_sides import Native, NoStart, group_end, sides_of  # noqa: E402

FRAMEWORKS = Path(__file__).resolve().parents[1] / 'tests/gpu/frameworks'
STEPS = ('bench', 'frameworks', 'programs', 'fairness')
OWN_PROGRAMS = ('matrix_product', 'virtual_memory', 'managed_memory', 'batches', 'host_functions', 'stream_values',
                'graph_nodes', 'graph_memory', 'graph_copies', 'graph_captures', 'ipc', 'linker')
TIMED_SCRIPTS = ('torch_training', 'torch_gpt2')
SCRIPTS = ('torch_features', 'torch_compile', 'torch_processes', 'cupy_features', 'jax_features', 'triton_features')
# name: kinds of kernels of the tenants
MIXES = {'2 alike': ('short', 'short'), '2 unlike': ('short', 'long'), '4 unlike': ('short', 'long', 'short', 'long')}
KERNELS = {'short': (100, 50), 'long': (20000, 1)}  # microseconds, kernels between two looks


NO_END = 'no end within'


def percentile(samples, part):
    ordered = sorted(samples)
    return ordered[len(ordered) - 1 - int((len(ordered) - 1) * (1 - part))]


def records(output):
    """The lines of JSON; the last one may be half there."""
    return [json.loads(line) for line in output.splitlines() if line.startswith('{') and line.endswith('}')]


class Started:
    """A program in a process group of its own; its output goes to files, so that it never waits for us."""

    def __init__(self, command, environment):
        self.output, self.errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.begun = time.monotonic()
        self.process = subprocess.Popen([str(part) for part in command], env=environment, stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=self.errors, start_new_session=True)

    def finish(self, seconds):
        """Returns (verdict, output, seconds it took); a verdict is 'pass', or says what went wrong."""
        try:
            self.process.wait(max(0.1, seconds - (time.monotonic() - self.begun)))
            took, limit = time.monotonic() - self.begun, False
        except subprocess.TimeoutExpired:
            took, limit = seconds, True
        # What it started must not run into the next measurement.
        group_end(self.process)
        texts = []
        for file in (self.output, self.errors):
            file.seek(0)
            texts.append(file.read().decode(errors='replace'))
            file.close()
        code = self.process.returncode
        if limit:
            return f'{NO_END} {seconds:.0f} s', texts[0], took
        if code == 0:
            return 'pass', texts[0], took
        if code == 77:
            return 'skipped', texts[0], took
        why = f'ended by {signal.Signals(-code).name}' if code < 0 else f'status {code}'
        lines = (texts[1].strip() or texts[0].strip()).splitlines()
        return f'fails: {why}' + (f', {lines[-1][-100:]}' if lines else ''), texts[0], took


def runtime_build(work):
    """Returns (runtime_bench, the folder of its libcudart.so.13); (None, None) without nvcc.

    Without compression, and launching by the function's address as until CUDA 12: what GVirtuS knows.
    """
    nvcc = os.environ.get('NVCC') or shutil.which('nvcc') or '/usr/local/cuda/bin/nvcc'
    folders = [Path(nvcc).resolve().parent.parent / name for name in ('lib64', 'lib')]
    folder = next((folder for folder in folders if (folder / 'libcudart.so.13').exists()), None)
    here = Path(__file__).resolve().parent
    legacy = '-D__NV_LEGACY_LAUNCH'
    command = [nvcc, '-std=c++17', '-O2', '-cudart', 'shared', '--compress-mode=none', legacy, '-Xcompiler', legacy,
               '-gencode', 'arch=compute_75,code=compute_75', '-gencode', 'arch=compute_90,code=[compute_90,sm_90]',
               '-o', work / 'runtime_bench', here / 'runtime_bench.cu', here / 'samples.c']
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, check=False)
    except OSError as reason:
        done = subprocess.CompletedProcess(command, 1, '', str(reason))
    if done.returncode or not folder:
        Bench.say(f'no runtime_bench: {done.stderr.strip()[-300:] or "no libcudart.so.13"}')
        return None, None
    return work / 'runtime_bench', str(folder)


class Bench:
    def __init__(self, options, work):
        self.options = options
        self.bundle = options.bundle.resolve()
        self.end = time.monotonic() + options.budget
        driver_folder = None
        if options.driver != 'libcuda.so.1':
            # The library under the name that programs load.
            driver_folder = work / 'driver'
            driver_folder.mkdir()
            (driver_folder / 'libcuda.so.1').symlink_to(Path(options.driver).resolve())
        for program in (self.bundle / 'bin').iterdir():
            if not os.access(program, os.X_OK):
                program.chmod(0o755)
        self.work = work
        self.runtime, self.toolkit = runtime_build(work)
        self.sides = sides_of(work, self.bundle, driver_folder, options.peers, self.toolkit)
        self.report = Report(self.sides, options.turns)
        self.native_seconds = {}  # program: how long it took

    # -- running

    def over(self):
        self.report.cut = self.report.cut or time.monotonic() > self.end
        return self.report.cut

    def environment(self, extra, own=False):
        """own: a program of the bundle, which may find libraries there that the machine lacks."""
        environment = {**{name: value for name, value in os.environ.items() if name != 'VGPU_NATIVE'}, **extra}
        if own:
            environment['LD_LIBRARY_PATH'] = ':'.join(
                filter(None, [environment.get('LD_LIBRARY_PATH'), str(self.bundle / 'lib'), self.toolkit]))
        return environment

    def run(self, side, program, command, seconds=240):
        """Returns (output, seconds it took, whether it passed) of a program through a side, which has ten times as
        long as natively; None if the budget is spent, or it failed before, natively or there."""
        verdicts = self.report.verdicts.setdefault(program, {})
        if self.over() or not side.can_run(program) or any(not run.startswith('pass') for name in ('native', side.name)
                              for run in verdicts.get(name, [])):
            return None
        if side.name != 'native' and program in self.native_seconds:
            seconds = min(seconds, max(60, 10 * self.native_seconds[program]))
        left = self.end - time.monotonic()
        try:
            side.start()
            own = Path(command[0]).parent in (self.bundle / 'bin', self.work)
            environment = self.environment(side.environment(), own)
            verdict, output, took = Started(command, environment).finish(min(seconds, left))
        except NoStart as reason:
            verdict, output, took = f'fails: {str(reason)[:300]}', '', 0
        if verdict.startswith(NO_END) and left < seconds:
            self.report.cut = True
            return None
        if side.name == 'native':
            self.native_seconds[program] = took
            named = re.search(r'(?:^device=|"device": ")([^"\n]+)', output, re.MULTILINE)
            self.report.device = named.group(1) if named else self.report.device
        verdicts.setdefault(side.name, []).append(verdict)
        self.say(f'{program}, {side.name}: {verdict}, {took:.1f} s')
        if verdict not in ('pass', 'skipped'):
            # What the server is left with must not be the next program's trouble.
            side.stop()
        self.report.save(self.options.json)
        return output, took, verdict == 'pass'

    @staticmethod
    def say(text):
        print(f'# {text}', file=sys.stderr, flush=True)

    def add(self, name, unit, side, median, p99):
        self.report.values.setdefault((name, unit), {}).setdefault(side.name, []).append((median, p99))

    def add_records(self, side, done):
        for record in records(done[0]) if done else ():
            if 'median' in record:
                self.add(record['name'], record['unit'], side, record['median'], record['p99'])

    def turn(self, number):
        """The sides in an order that moves; natively first, for what fails there says nothing of the others."""
        others = self.sides[1:]
        return self.sides[:1] + others[number % len(others):] + others[:number % len(others)]

    # -- steps

    def bench(self, number):
        quick = ['--quick'] if self.options.quick else []
        for side in self.turn(number):
            done = self.run(side, 'launch_bench', [self.bundle / 'bin/launch_bench', *quick])
            self.add_records(side, done)
        for side in self.turn(number):
            self.vector_add(side)
        for side in self.turn(number) if self.runtime else ():
            self.add_records(side, self.run(side, 'runtime_bench', [self.runtime, 'measure', *quick]))

    def vector_add(self, side):
        samples = {'process': []}
        for _ in range(2 if self.options.quick else 11):
            done = self.run(side, 'vector_add', [self.bundle / 'bin/vector_add'])
            if not done or not done[2]:
                return
            samples['process'].append(done[1] * 1e3)
            for line in done[0].splitlines():
                name, equals, value = line.partition('_ms=')
                if equals:
                    samples.setdefault(name, []).append(float(value))
        for name, values in samples.items():
            self.add(f'vector_add, {name}', 'ms', side, statistics.median(values), percentile(values, 0.99))

    def script(self, side, name):
        done = self.run(side, name, [sys.executable, FRAMEWORKS / f'{name}.py'])
        if not done:
            return
        lines = [line.split() for line in done[0].splitlines()]
        if done[2]:
            self.report.answers.setdefault(name, {})[side.name] = [words for words in lines if words[:1] == ['result']]
        late = {words[1]: float(words[2]) for words in lines if len(words) == 3 and words[0] == 'late'}
        for words in lines:
            if len(words) == 3 and words[0] == 'time':
                p99 = late.get(words[1])
                self.add(words[1], 'ms', side, float(words[2]) * 1e3, p99 and p99 * 1e3)

    def frameworks(self, number):
        for name in TIMED_SCRIPTS:
            for side in self.turn(number):
                self.script(side, name)

    def programs(self, number):
        for side in self.turn(number):
            done = self.run(side, 'kernels_run', [self.bundle / 'bin/kernels_run', self.bundle / 'ptx'])
            if done:
                cases = [line.split()[0] for line in done[0].splitlines() if line.startswith(('ok', 'not ok'))]
                self.report.verdicts['kernels_run'][side.name][-1] += f' ({cases.count("ok")} of {len(cases)} cases)'
        for name in OWN_PROGRAMS:
            for side in self.turn(number):
                self.run(side, name, [self.bundle / 'bin' / name])
        # These are long and not timed: once it has passed natively, through all others at a time.
        with ThreadPoolExecutor(len(self.sides)) as pool:
            for name in SCRIPTS:
                self.script(self.sides[0], name)
                list(pool.map(lambda side, name=name: self.script(side, name), self.sides[1:]))

    # -- fairness

    def tenants(self, side, arguments, seconds):
        """Runs tenants beside each other; a verdict, and the last line of JSON of each."""
        program = self.runtime if side.runtime_only else self.bundle / 'bin/tenant'
        # To our mediator tenants are programs of different names.
        names = [self.work / f'{program.name}-{place}' for place in range(len(arguments))]
        for name in names:
            name.unlink(missing_ok=True)
            name.symlink_to(program.resolve())
        running = [Started([names[place], *each],
                           self.environment(side.tenant_environment(f't{place}', len(arguments)), own=True))
                   for place, each in enumerate(arguments)]
        done = [tenant.finish(seconds) for tenant in running]
        for verdict, _, _ in done:
            if verdict != 'pass':
                side.stop()
                return verdict, []
        return 'pass', [records(output)[-1] for _, output, _ in done]

    def calibrate(self, runtime_only):
        """{kind: (iterations, microseconds)} of the kernels, natively with nobody else there; None if that fails."""
        kinds = {}
        natively = Native(self.work / 'calibration', self.bundle, self.sides[0].driver_folder)
        natively.runtime_only = runtime_only
        for kind, (microseconds, _) in KERNELS.items():
            arguments = ['calibrate', microseconds] if runtime_only else ['calibrate', '--microseconds', microseconds]
            verdict, answers = self.tenants(natively, [arguments], 120)
            if verdict != 'pass':
                self.say(f'fairness: calibration {verdict}')
                return None
            kinds[kind] = answers[0]['iterations'], answers[0]['microseconds']
            self.say(f'a {kind} kernel: {kinds[kind][1]:.1f} us alone')
        return kinds

    def fairness_of(self, side, kinds, mix):
        warm, seconds = (3.0, 1.0) if self.options.quick else (4.0 + len(mix) / 2, 3.0 + len(mix))
        try:
            side.start()
        except NoStart as reason:
            return f'fails: {reason}'
        begin = time.monotonic() + warm
        if side.runtime_only:
            arguments = [['saturate', kinds[kind][0], KERNELS[kind][1], begin, begin + seconds] for kind in mix]
        else:
            arguments = [['saturate', '--iterations', kinds[kind][0], '--batch', KERNELS[kind][1], '--from', begin,
                          '--to', begin + seconds] for kind in mix]
        verdict, answers = self.tenants(side, arguments, warm + seconds + 60)
        if verdict != 'pass':
            return verdict
        return [answer['kernels'] * kinds[kind][1] / 1e6 / (answer['last'] - answer['first'])
                if answer['last'] > answer['first'] else 0.0 for kind, answer in zip(mix, answers)]

    def fairness_measure(self):
        kinds = {False: self.calibrate(False)}
        if self.runtime and any(side.runtime_only for side in self.sides):
            kinds[True] = self.calibrate(True)
        for name in ['2 unlike'] if self.options.quick else MIXES:
            for side in self.sides:
                if not kinds.get(side.runtime_only):
                    continue
                if self.over():
                    return
                used = self.fairness_of(side, kinds[side.runtime_only], MIXES[name])
                self.report.fairness.setdefault(name, {})[side.name] = used
                self.say(f'fairness, {name}, {side.name}: {used}')
                self.report.save(self.options.json)

    def measure(self):
        steps = self.options.only or STEPS
        for side in self.sides:
            try:
                side.start()
            except NoStart as reason:
                self.say(f'{side.name}: {reason}')
        # Executors that wait for a program start after the mediator has said that it is up.
        time.sleep(0 if self.options.quick else 3)
        for number in range(self.options.turns):
            if 'bench' in steps:
                self.bench(number)
            if 'frameworks' in steps:
                self.frameworks(number)
        if 'programs' in steps:
            self.programs(0)
        if 'fairness' in steps:
            self.fairness_measure()


def interrupt(number, _frame):
    raise KeyboardInterrupt(number)


def main():
    parser = argparse.ArgumentParser(description='ours beside the peers')
    parser.add_argument('bundle', type=Path)
    parser.add_argument('peers', type=Path, nargs='?')
    parser.add_argument('--driver', default='libcuda.so.1')
    parser.add_argument('--only', action='append', choices=STEPS)
    parser.add_argument('--turns', type=int, default=3)
    parser.add_argument('--budget', type=float, default=1e9)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--quick', action='store_true')
    options = parser.parse_args()
    if options.peers:
        options.peers = options.peers.resolve(strict=True)
    if options.quick:
        options.turns = 1
    signal.signal(signal.SIGTERM, interrupt)
    with tempfile.TemporaryDirectory(prefix='vgpu-peers-') as work:
        bench = Bench(options, Path(work))
        try:
            bench.measure()
        except KeyboardInterrupt:
            bench.report.cut = True
        finally:
            for side in bench.sides:
                side.stop()
        bench.report.save(options.json)
        bench.report.print()
    sys.exit(1 if bench.report.ours_failed() else 0)


if __name__ == '__main__':
    main()
