# SPDX-License-Identifier: Apache-2.0
"""A mediator that Prometheus reads; PROGRAM, vgpu-admin, is to be set."""

import http.client
import socket
import subprocess

import exposition
import harness
from harness import Mediator, wait_until
from ports import free_port

PROGRAM = None


class Served:
    """A mediator with its metrics on a free port."""

    def __init__(self, *options, waiting_children=0, **more):
        self.port = free_port()
        self.daemon = Mediator("--metrics=127.0.0.1:%d" % self.port, *options, **more)
        assert self.daemon.wait_log("METRICS. http://127.0.0.1:%d/metrics" % self.port), self.daemon.log()

        # The driver has been probed and the sensors have been asked: what is counted now is at rest.
        assert self.daemon.wait_log("CUDA (initialized|is not available)")
        assert wait_until(lambda: len(self.daemon.children()) == waiting_children)

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        self.daemon.__exit__(*arguments)

    def get(self, path="/metrics", method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.PATIENCE)
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer, body

    def scrape(self):
        """What is true now: a text is a second old at most, and another one is written later than this."""
        old = self.get()[1]
        assert wait_until(lambda: self.get()[1] != old)
        return self.shown()

    def shown(self):
        answer, body = self.get()
        assert answer.status == 200
        assert answer.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
        return exposition.Exposition(body.decode())

    def raw(self, data):
        with socket.create_connection(("127.0.0.1", self.port), timeout=harness.PATIENCE) as peer:
            peer.sendall(data)
            answer = b""
            while True:
                part = peer.recv(65536)
                if not part:
                    return answer
                answer += part

    def admin(self, *arguments):
        done = subprocess.run([PROGRAM, "--socket=" + self.daemon.socket + ".admin", *arguments], capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 0, done
        return done.stdout
