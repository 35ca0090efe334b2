# SPDX-License-Identifier: Apache-2.0
"""Somebody who listens where a mediator may: impostor.py USER PROGRAM [ARGUMENT ...], and heard() for tests.

In a mount namespace of its own (heard() makes it) USER listens at the path in /tmp, and the program is run without being
told of any mediator. Prints as JSON what the program says and the types of the messages that USER hears of it.
"""
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

PATH = '/tmp/vgpu-mediator.sock'
SECONDS = 60
HIDE = 'mount -t tmpfs tmpfs /var && mkdir /var/lib /var/tmp && mount -t tmpfs tmpfs /tmp && chmod 1777 /tmp && exec "$@"'
WRAPPER = ['unshare', '--mount', 'sh', '-c', HIDE, 'sh']


def is_possible(*paths):
    """This machine allows namespaces, and what the program needs lies elsewhere."""
    return (not any(os.path.realpath(path).startswith(('/tmp/', '/var/')) for path in paths) and
            subprocess.run([*WRAPPER, 'true'], stderr=subprocess.DEVNULL, check=False).returncode == 0)


def heard(user, command, environment):
    """What the program says and what the user hears of it, as a pair."""
    done = subprocess.run([*WRAPPER, sys.executable, os.path.abspath(__file__), str(user), *map(str, command)],
                          env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=2 * SECONDS, check=True)
    return tuple(json.loads(done.stdout))


def listen(user, pipe):
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(PATH)
        os.chmod(PATH, 0o666)
        listener.listen(4)
        os.write(pipe, b'.')
        while True:
            connection, _ = listener.accept()
            data = connection.recv(1024)
            if data:
                os.write(pipe, struct.unpack_from('<IIII', data)[1:2][0].to_bytes(1, 'little'))
            connection.close()


def main():
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            listen(int(sys.argv[1]), writes)
        finally:
            os._exit(1)
    assert os.read(reads, 1) == b'.'
    os.set_blocking(reads, False)
    types = []
    with tempfile.TemporaryFile('w+') as output:
        program = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        end = time.monotonic() + SECONDS
        while not types and time.monotonic() < end:
            is_over = program.poll() is not None
            try:
                types += os.read(reads, 16)
            except BlockingIOError:
                pass
            output.seek(0)
            if is_over or 'no mediator' in output.read():
                break
            time.sleep(0.05)
        program.kill()
        program.wait()
        os.kill(child, 9)
        os.waitpid(child, 0)
        try:
            types += os.read(reads, 16)
        except BlockingIOError:
            pass
        output.seek(0)
        print(json.dumps([output.read(), types]))


if __name__ == '__main__':
    main()
