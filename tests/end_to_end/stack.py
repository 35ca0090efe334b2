# SPDX-License-Identifier: Apache-2.0
"""The host side for tests: a mediator of its own in a temporary directory, with the software GPU."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# For what takes moments, on a machine that is busy with other things. Seconds.
PATIENCE = 60


def build_directory():
    return Path(os.environ.get('VGPU_BUILD', ROOT / 'build')).resolve()


def wait_until(condition, what, seconds=PATIENCE):
    """Polls until the condition holds and returns its value; raises with 'what' after that many seconds."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'{what}: not within {seconds} s')
        time.sleep(0.05)


def processor_seconds(pid):
    """Of all threads of a process."""
    fields = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def executor_without_sandbox(folder):
    """A program in the folder that is an executor for which the sandbox is left out."""
    executor = Path(folder) / 'executor'
    executor.write_text('#!/bin/sh\n[ $# -gt 0 ] || set -- --no-sandbox\n'
                        f'exec {build_directory()}/host/executor/cuda-executor "$@"\n')
    executor.chmod(0o755)
    return executor


class Mediator:
    """A running mediator_phase3. Use as a context manager."""

    def __init__(self, *options, driver=None, directory=None, environment=None):
        self.build = build_directory()
        self.temporary = None
        if directory is None:
            self.temporary = tempfile.TemporaryDirectory(prefix='vgpu-test-')
            directory = self.temporary.name
        self.directory = Path(directory)
        self.socket = self.directory / 'mediator.sock'
        self.log = self.directory / 'mediator.log'
        self.configuration = self.directory / 'mediator.conf'
        self.driver = driver or self.build / 'softgpu' / 'driver' / 'libsoftgpu.so.1'
        self.options = options
        self.environment = environment or {}
        self.process = None

    def start(self):
        command = [str(self.build / 'host' / 'mediator' / 'mediator_phase3'), '--socket', str(self.socket),
                   '--driver', str(self.driver), '--executor', str(self.build / 'host' / 'executor' / 'cuda-executor'),
                   '--log', str(self.log), '--heartbeat', '1', *self.options]
        if self.configuration.exists():
            command += ['--config', str(self.configuration)]
        # The log goes on where an earlier start of this mediator left it.
        before = len(self.text())
        self.process = subprocess.Popen(command, env={**os.environ, **self.environment}, cwd=self.directory,
                                        stdin=subprocess.DEVNULL)
        try:
            wait_until(lambda: self.process.poll() is not None or 'Listening on socket' in self.text()[before:],
                       'the mediator listens')
            if self.process.poll() is not None:
                raise AssertionError(f'the mediator ended with {self.process.returncode}:\n{self.text()}')
        except BaseException:
            self.close()
            raise
        return self

    def configure(self, text):
        """Its settings, in a file: before it is started, or again, which it reads at once."""
        self.configuration.write_text(text)
        if self.process and self.process.poll() is None:
            line = 'The configuration was read again'
            before = self.text().count(line)
            self.process.send_signal(signal.SIGHUP)
            wait_until(lambda: self.text().count(line) > before, 'the settings are read')

    def stop(self, how=signal.SIGTERM, seconds=PATIENCE):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(seconds)
        return self.process.returncode

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            self.close()

    def close(self):
        """However the mediator is: nothing of it is left afterwards."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.temporary:
            self.temporary.cleanup()

    def text(self):
        return self.log.read_text(errors='replace') if self.log.exists() else ''

    def wait_for_line(self, pattern):
        """The first match of the pattern in the log."""
        return wait_until(lambda: re.search(pattern, self.text()), f'log line {pattern!r}')

    def wait_for_rest(self):
        """Waits until no executor is left, that of the mediator's own probe of the driver included."""
        self.wait_for_line('CUDA (initialized|is not available)')
        wait_until(lambda: not self.executors(), 'executors are gone')

    def executors(self):
        """Process ids of this mediator's executors (children that are not zombies), but for what watches workers."""
        found = []
        for entry in Path('/proc').iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / 'stat').read_text().rsplit(')', 1)[1].split()
                arguments = (entry / 'cmdline').read_bytes().split(b'\0')
            except OSError:
                continue
            if int(fields[1]) == self.process.pid and fields[0] != 'Z' and b'watch' not in arguments:
                found.append(int(entry.name))
        return found

    def file_descriptors(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def admin(self, *arguments, code=0):
        """What vgpu-admin prints, or None; it must end with the code."""
        socket = Path(f'{self.socket}.admin')
        wait_until(socket.exists, 'the socket for administration')
        program = self.build / 'host' / 'admin' / 'vgpu-admin'
        done = subprocess.run([program, '--json', f'--socket={socket}', *arguments], capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == code, (arguments, done)
        return json.loads(done.stdout) if done.stdout else None

    def client_environment(self, **more):
        library = self.build / 'guest' / 'libcuda'
        return {**os.environ, 'LD_LIBRARY_PATH': str(library), 'VGPU_SOCKET': str(self.socket),
                'VGPU_TRANSPORT': 'local', **more}

    def run(self, *command, seconds=120, **environment):
        return subprocess.run([str(c) for c in command], env=self.client_environment(**environment),
                              capture_output=True, text=True, timeout=seconds, check=False)

    def spawn(self, *command, stdin=None, **environment):
        return subprocess.Popen([str(c) for c in command], env=self.client_environment(**environment), stdin=stdin,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class WithMediator(unittest.TestCase):
    """Tests that share one mediator."""

    @classmethod
    def setUpClass(cls):
        cls.mediator = Mediator().start()
        cls.addClassCleanup(cls.mediator.__exit__)
