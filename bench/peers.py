#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The same unmodified programs natively, through ours and through each peer, in turns, in one run.

usage: peers.py BUNDLE [PEERS] [--driver LIBRARY] [--only STEP]... [--turns N] [--budget SECONDS] [--json FILE] [--quick]

BUNDLE is what tests/gpu/bundle.sh made, PEERS a folder with the peers (peer_sides.py says how it is laid out). Steps:

    bench       launch_bench, and vector_add as a whole process
    frameworks  PyTorch: training, GPT-2; what they compute must be what they compute natively
    programs    which programs pass
    fairness    two and four tenants that saturate the GPU with kernels of 100 us and of 20 ms; Jain's index of their
                GPU time

A program that fails, or takes ten times as long as natively (60 to 240 s), is a result and is reported, and not run
again. After --budget seconds nothing new is begun, and what then runs is not counted. The tables are in Markdown. --quick, for a software GPU, only shows that it runs. Exit status 1 if one of
ours failed.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from peer_sides import NoStart, group_end, sides_of  # noqa: E402  (beside this file, wherever it lies)

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


def jain(values):
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values)) if any(values) else 0.0


def figure(value):
    return f'{value:.4g}'


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
        self.work = work
        self.sides = sides_of(work, self.bundle, driver_folder, options.peers)
        self.values = {}    # (measurement, unit): {side: [(median, p99 or None) of each turn]}
        self.verdicts = {}  # program: {side: [verdict of each run]}
        self.answers = {}   # program: {side: what it computed}
        self.fairness = {}  # mix: {side: [part of the GPU's time of each tenant] or a verdict}
        self.native_seconds = {}  # program: how long it took
        self.device = ''
        self.cut = False

    # -- running

    def over(self):
        self.cut = self.cut or time.monotonic() > self.end
        return self.cut

    def environment(self, extra, own=False):
        """own: a program of the bundle, which may find libraries there that the machine lacks."""
        environment = {**{name: value for name, value in os.environ.items() if name != 'VGPU_NATIVE'}, **extra}
        if own:
            environment['LD_LIBRARY_PATH'] = ':'.join(
                filter(None, [environment.get('LD_LIBRARY_PATH'), str(self.bundle / 'lib')]))
        return environment

    def run(self, side, program, command, seconds=240):
        """Returns (output, seconds it took, whether it passed) of a program through a side, which has ten times as
        long as natively; None if the budget is spent, or it failed before, natively or there."""
        verdicts = self.verdicts.setdefault(program, {})
        if self.over() or any(not run.startswith('pass') for name in ('native', side.name)
                              for run in verdicts.get(name, [])):
            return None
        if side.name != 'native' and program in self.native_seconds:
            seconds = min(seconds, max(60, 10 * self.native_seconds[program]))
        left = self.end - time.monotonic()
        try:
            side.start()
            environment = self.environment(side.environment(), own=Path(command[0]).parent == self.bundle / 'bin')
            verdict, output, took = Started(command, environment).finish(min(seconds, left))
        except NoStart as reason:
            verdict, output, took = f'fails: {str(reason)[:300]}', '', 0
        if verdict.startswith(NO_END) and left < seconds:
            self.cut = True
            return None
        if side.name == 'native':
            self.native_seconds[program] = took
            named = re.search(r'(?:^device=|"device": ")([^"\n]+)', output, re.MULTILINE)
            self.device = named.group(1) if named else self.device
        verdicts.setdefault(side.name, []).append(verdict)
        self.say(f'{program}, {side.name}: {verdict}, {took:.1f} s')
        if verdict not in ('pass', 'skipped'):
            # What the server is left with must not be the next program's trouble.
            side.stop()
        self.save()
        return output, took, verdict == 'pass'

    @staticmethod
    def say(text):
        print(f'# {text}', file=sys.stderr, flush=True)

    def add(self, name, unit, side, median, p99):
        self.values.setdefault((name, unit), {}).setdefault(side.name, []).append((median, p99))

    def turn(self, number):
        """The sides in an order that moves; natively first, for what fails there says nothing of the others."""
        others = self.sides[1:]
        return self.sides[:1] + others[number % len(others):] + others[:number % len(others)]

    # -- steps

    def bench(self, number):
        quick = self.options.quick
        for side in self.turn(number):
            done = self.run(side, 'launch_bench', [self.bundle / 'bin/launch_bench', *(['--quick'] if quick else [])])
            for line in done[0].splitlines() if done else []:
                # The last line may be half there.
                record = json.loads(line) if line.endswith('}') else {}
                if 'median' in record:
                    self.add(record['name'], record['unit'], side, record['median'], record['p99'])
        for side in self.turn(number):
            self.vector_add(side)

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
            self.answers.setdefault(name, {})[side.name] = [words for words in lines if words[:1] == ['result']]
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
                self.verdicts['kernels_run'][side.name][-1] += f' ({cases.count("ok")} of {len(cases)} cases)'
        for name in OWN_PROGRAMS:
            for side in self.turn(number):
                self.run(side, name, [self.bundle / 'bin' / name])
        for name in SCRIPTS:
            for side in self.turn(number):
                self.script(side, name)

    # -- fairness

    def tenants(self, side, arguments, seconds):
        """Runs tenants beside each other; a verdict, and the last line of JSON of each."""
        running = [Started([self.bundle / 'bin/tenant', *each],
                           self.environment(side.tenant_environment(f't{place}', len(arguments))))
                   for place, each in enumerate(arguments)]
        done = [tenant.finish(seconds) for tenant in running]
        for verdict, _, _ in done:
            if verdict != 'pass':
                side.stop()
                return verdict, []
        return 'pass', [json.loads(output.splitlines()[-1]) for _, output, _ in done]

    def calibrate(self):
        """{kind: (iterations, microseconds)} of the kernels, natively with nobody else there."""
        kinds = {}
        for kind, (microseconds, _) in KERNELS.items():
            verdict, answers = self.tenants(self.sides[0], [['calibrate', '--microseconds', microseconds]], 120)
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
        arguments = [['saturate', '--iterations', kinds[kind][0], '--batch', KERNELS[kind][1], '--from', begin,
                      '--to', begin + seconds] for kind in mix]
        verdict, answers = self.tenants(side, arguments, warm + seconds + 60)
        if verdict != 'pass':
            return verdict
        return [answer['kernels'] * kinds[kind][1] / 1e6 / (answer['last'] - answer['first'])
                if answer['last'] > answer['first'] else 0.0 for kind, answer in zip(mix, answers)]

    def fairness_measure(self):
        kinds = self.calibrate()
        for name, mix in MIXES.items() if kinds else ():
            for side in self.sides:
                if self.over():
                    return
                used = self.fairness_of(side, kinds, mix)
                self.fairness.setdefault(name, {})[side.name] = used
                self.say(f'fairness, {name}, {side.name}: {used}')
                self.save()

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

    # -- what is told

    def save(self):
        if self.options.json:
            values = [{'name': name, 'unit': unit, 'turns': sides} for (name, unit), sides in self.values.items()]
            self.options.json.write_text(json.dumps({
                'device': self.device, 'values': values, 'verdicts': self.verdicts, 'answers': self.answers,
                'fairness': self.fairness, 'cut': self.cut}, indent=1) + '\n')

    @staticmethod
    def table(head, rows, right_from):
        print('| ' + ' | '.join(head) + ' |')
        print('|' + '|'.join('---' if place < right_from else '---:' for place in range(len(head))) + '|')
        for row in rows:
            print('| ' + ' | '.join(cell.replace('|', '/') for cell in row) + ' |')
        print()

    @staticmethod
    def across_turns(turns):
        """Medians over the turns of the medians, and of the p99."""
        late = [p99 for _, p99 in turns if p99 is not None]
        return statistics.median(median for median, _ in turns), statistics.median(late) if late else None

    def values_print(self):
        head = ['measurement', 'unit']
        for side in self.sides:
            head += [f'{side.name}: p50 (p99)'] + (['ratio'] if side.name != 'native' else [])
        rows = []
        for (name, unit), turns in self.values.items():
            native = self.across_turns(turns['native'])[0] if 'native' in turns else 0
            row = [name, unit]
            for side in self.sides:
                cells = ['–', '–']
                if side.name in turns:
                    median, late = self.across_turns(turns[side.name])
                    cells = [figure(median) + (f' ({figure(late)})' if late is not None else ''),
                             f'{median / native:.3f}×' if native else '–']
                row += cells[:1] if side.name == 'native' else cells
            rows.append(row)
        if rows:
            self.table(head, rows, 2)

    def verdict(self, program, side):
        """Of all its runs; after a failure there are none."""
        runs = self.verdicts[program].get(side.name)
        if not runs:
            return '–'
        bad = [run for run in runs if not run.startswith(('pass', 'skipped'))]
        answers = self.answers.get(program, {})
        if bad:
            return bad[0] + (f' (in run {len(runs)})' if len(runs) > 1 else '')
        if side.name in answers and answers[side.name] != answers.get('native', answers[side.name]):
            return 'other results than natively'
        return runs[-1]

    def verdicts_print(self):
        if self.verdicts:
            self.table(['program', *(side.name for side in self.sides)],
                       [[program, *(self.verdict(program, side) for side in self.sides)] for program in self.verdicts],
                       len(self.sides) + 1)

    def fairness_print(self):
        rows = []
        for mix, sides in self.fairness.items():
            for name, used in sides.items():
                if isinstance(used, str):
                    rows.append([mix, name, used, '–', '–', '–'])
                    continue
                total = sum(used) or 1e-9
                rows.append([mix, name, ', '.join(f'{value / total:.4f}' for value in used), f'{total:.3f}',
                             f'{jain(used):.4f}', f'{max(used) / max(min(used), 1e-9):.3f}'])
        if rows:
            self.table(['tenants', 'through', 'shares of GPU time', 'together', 'Jain', 'most to least'], rows, 3)

    def print(self):
        print(f'\n{self.device or "unknown device"}; {os.cpu_count()} processors; {self.options.turns} turns'
              f'{"; cut short: the time was over" if self.cut else ""}\n')
        for side in self.sides:
            print(f'- {side.name}: {side.note}')
        print('\nRatios are to native. Of several turns the median of the p50 and of the p99.\n')
        self.values_print()
        self.verdicts_print()
        self.fairness_print()
        sys.stdout.flush()

    def ours_failed(self):
        ours = [side for side in self.sides if side.name.startswith('ours')]
        for program, verdicts in self.verdicts.items():
            natively = [run for run in verdicts.get('native', []) if not run.startswith('pass')]
            if not natively and any(not self.verdict(program, side).startswith(('pass', 'skipped', '–'))
                                    for side in ours):
                return True
        return any(isinstance(sides.get(side.name), str) for sides in self.fairness.values() for side in ours)


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
            bench.cut = True
        finally:
            for side in bench.sides:
                side.stop()
        bench.save()
        bench.print()
    sys.exit(1 if bench.ours_failed() else 0)


if __name__ == '__main__':
    main()
