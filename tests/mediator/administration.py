# SPDX-License-Identifier: Apache-2.0
"""vgpu-admin, and the mediator's socket for it without that; PROGRAM is to be set."""

import json
import socket
import subprocess

import harness

DONE, FAILED, USAGE, NO_MEDIATOR, DENIED, NOT_FOUND, CONFLICT, UNHEALTHY = range(8)

PROGRAM = None


def run(daemon, *arguments, code=DONE, wrapper=(), environment=None, warned=()):
    """Its standard output, or standard error where it is to fail; 'warned': words of each warning that it is to give."""
    assert daemon.wait_log("ADMIN. vgpu-admin connects to"), daemon.log()
    done = subprocess.run([*wrapper, PROGRAM, "--socket=" + daemon.socket + ".admin", *arguments],
                          capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == code, (arguments, done)
    if code in (DONE, UNHEALTHY):
        warnings = done.stderr.splitlines()
        assert len(warnings) == len(warned), (arguments, done)
        for line, words in zip(warnings, warned):
            assert line.startswith("vgpu-admin: warning: ") and words in line, (arguments, done)
    assert code in (DONE, UNHEALTHY) or done.stderr, (arguments, done)
    return done.stdout if code in (DONE, UNHEALTHY) else done.stderr


def ask(daemon, *arguments):
    return json.loads(run(daemon, "--json", *arguments))


class Stream:
    """The socket without vgpu-admin."""

    def __init__(self, daemon):
        assert daemon.wait_log("ADMIN. vgpu-admin connects to"), daemon.log()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(harness.PATIENCE)
        self.socket.connect(daemon.socket + ".admin")
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        line = self.file.readline()
        return json.loads(line) if line else None

    def ask(self, data):
        self.send(data + b"\n")
        return self.receive()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()
