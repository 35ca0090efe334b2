# SPDX-License-Identifier: Apache-2.0
"""Prints unittest results as TAP, for tests/run.py."""

import sys
import time
import unittest


class TapResult(unittest.TestResult):
    def __init__(self, stream):
        super().__init__()
        self.stream = stream
        self.number = 0

    def _line(self, outcome, test, note=''):
        self.number += 1
        took = time.monotonic() - self.started
        print(f'{outcome} {self.number} - {test.id()}{note}', file=self.stream)
        print(f'# {took:.1f} s', file=self.stream, flush=True)

    def startTest(self, test):
        self.started = time.monotonic()
        super().startTest(test)

    def _comment(self, text):
        for line in text.splitlines():
            print(f'# {line}', file=self.stream)

    def addSuccess(self, test):
        self._line('ok', test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._line('not ok', test)
        self._comment(self._exc_info_to_string(err, test))

    def addError(self, test, err):
        super().addError(test, err)
        if not hasattr(self, 'started'):
            self.started = time.monotonic()
        self._line('not ok', test)
        self._comment(self._exc_info_to_string(err, test))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            # The test as a whole is then reported neither as passed nor as failed.
            self._line('not ok', subtest)
            self._comment(self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if not hasattr(self, 'started'):
            self.started = time.monotonic()
        self._line('ok', test, f' # SKIP {reason}')


def main(module='__main__'):
    """Runs the module's tests (or those named on the command line)."""
    loader = unittest.defaultTestLoader
    target = sys.modules[module]
    names = sys.argv[1:]
    suite = loader.loadTestsFromNames(names, target) if names else loader.loadTestsFromModule(target)
    print(f'1..{suite.countTestCases()}', flush=True)
    result = TapResult(sys.stdout)
    suite.run(result)
    sys.exit(0 if result.wasSuccessful() else 1)
