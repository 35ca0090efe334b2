#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests that the build knows and prints a summary with counts.

usage: run.py --build DIRECTORY [--suite NAME] [TEST ...]

Each test program speaks TAP; meson runs them (the slow ones, which boot virtual machines, last and one at a
time) and this reads its log. Exit code 0 only if nothing failed and something passed.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

TAP_LINE = re.compile(r'^\s*(ok|not ok)\b\s*\d*\s*-?\s*(.*)$')
TAP_PLAN = re.compile(r'^\s*1\.\.(\d+)(?:\s*#\s*skip\s*(.*))?', re.IGNORECASE)


class Counts:
    def __init__(self):
        self.passed = 0
        self.failures = []
        self.skips = []

    def add_tap(self, name, text, returncode):
        """Counts one program's output; what it planned and did not report has failed."""
        planned, seen, failed_here = None, 0, 0
        for line in text.splitlines():
            plan = TAP_PLAN.match(line)
            if plan:
                planned = int(plan.group(1))
                if planned == 0:
                    self.skips.append(f'{name}: {plan.group(2) or "nothing to run"}')
                continue
            match = TAP_LINE.match(line)
            if not match:
                continue
            seen += 1
            outcome, rest = match.groups()
            skip = re.search(r'#\s*skip\b\s*(.*)', rest, re.IGNORECASE)
            if skip:
                self.skips.append(f'{name}: {rest.split("#")[0].strip()}: {skip.group(1)}')
            elif outcome == 'ok':
                self.passed += 1
            else:
                failed_here += 1
                self.failures.append(f'{name}: {rest}')
        if planned is None and seen == 0 and returncode == 0:
            # A test that speaks by its exit code alone.
            self.passed += 1
        elif planned is None:
            failed_here += 1
            self.failures.append(f'{name}: no plan in its output, exit code {returncode}')
        elif seen < planned:
            failed_here += 1
            self.failures.append(f'{name}: {planned - seen} of {planned} not reported, exit code {returncode}')
        if returncode and not failed_here:
            self.failures.append(f'{name}: exit code {returncode}')


def run_suites(build, suites, names):
    """Yields (suite, meson's records) of each suite in turn."""
    for suite, workers in suites:
        chosen = ['--suite', 'vm'] if suite == 'vm' else ['--no-suite', 'vm']
        log = Path(build) / 'meson-logs' / f'testlog-{suite}.json'
        log.unlink(missing_ok=True)
        command = ['meson', 'test', '-C', build, '--no-rebuild', *chosen, '--num-processes', str(workers),
               '--timeout-multiplier', '2',
                   '--logbase', f'testlog-{suite}', '--print-errorlogs', *names]
        process = subprocess.run(command, check=False)
        if not log.exists():
            if process.returncode and not names:
                yield suite, None
            continue
        yield suite, [json.loads(line) for line in log.read_text().splitlines()]


def main():
    parser = argparse.ArgumentParser(description='runs the tests')
    parser.add_argument('--build', default='build')
    parser.add_argument('--suite', choices=['fast', 'vm', 'sanitized'])
    parser.add_argument('tests', nargs='*')
    arguments = parser.parse_args()
    os.environ['CMOCKA_MESSAGE_OUTPUT'] = 'TAP'
    os.environ.setdefault('ASAN_OPTIONS', 'detect_leaks=0:handle_segv=0:handle_abort=0')
    os.environ.setdefault('UBSAN_OPTIONS', 'halt_on_error=1:print_stacktrace=1')
    suites = [('fast', 2), ('vm', 1)]
    if arguments.suite == 'sanitized':
        suites = [('fast', 2)]
    elif arguments.suite:
        suites = [s for s in suites if s[0] == arguments.suite]

    started = time.monotonic()
    counts = Counts()
    for suite, records in run_suites(arguments.build, suites, arguments.tests):
        if records is None:
            counts.failures.append(f'suite {suite} did not run')
            continue
        for record in records:
            name = record['name'].split(' / ')[-1]
            if record['result'] == 'TIMEOUT':
                counts.failures.append(f'{name}: timed out after {record["duration"]:.0f} s')
                continue
            counts.add_tap(name, record.get('stdout', ''), record['returncode'])

    print()
    for skip in counts.skips:
        print(f'skipped: {skip}')
    for failure in counts.failures:
        print(f'FAILED:  {failure}')
    print(f'{counts.passed} passed, {len(counts.failures)} failed, {len(counts.skips)} skipped '
          f'in {time.monotonic() - started:.0f} s')
    sys.exit(1 if counts.failures or not counts.passed else 0)


if __name__ == '__main__':
    main()
