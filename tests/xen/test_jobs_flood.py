# SPDX-License-Identifier: Apache-2.0
"""A guest of Xen that writes its path without end, and one that has jobs: test_jobs_flood.py VGPU_XEN_JOBS

The program is vgpu-xen-jobs with store_stub.c in the place of libxenstore.
"""

import subprocess
import socket
import sys
import tempfile
import threading
import unittest
from pathlib import Path

import tap

JOBS = 20


def jobs_answer(stream):
    """What vgpu-jobs does."""
    for line in stream.makefile('r'):
        if not line.startswith('VM '):
            stream.sendall(b'{"result": []}\n')


def jobs_listen(listener):
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=jobs_answer, args=(stream,), daemon=True).start()


class Flood(unittest.TestCase):
    def test_others_are_served(self):
        with tempfile.TemporaryDirectory(prefix='vgpu-xen-jobs-') as folder, \
                socket.socket(socket.AF_UNIX) as listener:
            path = Path(folder) / 'socket'
            listener.bind(str(path))
            listener.listen(8)
            threading.Thread(target=jobs_listen, args=(listener,), daemon=True).start()
            # Of the flooder's answers there may be any number meanwhile.
            with subprocess.Popen(['timeout', '60', PROGRAM, f'--jobs={path}', f'--list={folder}/none'],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as carrier:
                answered = set()
                for line in carrier.stdout:
                    if line.startswith('/local/domain/7/'):
                        answered.add(line.split()[1])
                        if len(answered) == JOBS:
                            break
                carrier.terminate()
            self.assertEqual(answered, {str(number) for number in range(1, JOBS + 1)})


if __name__ == '__main__':
    PROGRAM = sys.argv.pop(1)
    tap.main()
