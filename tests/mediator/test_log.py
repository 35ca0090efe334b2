# SPDX-License-Identifier: Apache-2.0
"""The log as the journal gets it, and as JSON: test_log.py MEDIATOR TEST_EXECUTOR"""

import collections
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

import harness
from harness import Device, Mediator, Peer, Skip, wait_until


class Journal:
    """
    A mediator whose standard error is a socket, which JOURNAL_STREAM says is the journal, or says so of another file;
    with a journal of the test's at its usual place, which takes fields, or none.
    """

    def __init__(self, own_stream, takes_fields):
        # It sees this folder as /run, in a mount namespace of its own; without one if the usual place is no matter.
        self.folder = tempfile.mkdtemp(prefix="vgpu-journal-")
        os.makedirs(os.path.join(self.folder, "systemd", "journal"))
        self.fields = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.datagrams = collections.deque()
        if takes_fields:
            self.fields.bind(os.path.join(self.folder, "systemd", "journal", "socket"))
        threading.Thread(target=self.collect, daemon=True).start()
        isolated = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        isolated += ["sh", "-c", 'mount --bind "$0" /run && exec "$@"', self.folder]
        if subprocess.run(isolated + ["true"], capture_output=True).returncode != 0:
            if own_stream and (takes_fields or os.path.exists("/run/systemd/journal/socket")):
                self.fields.close()
                shutil.rmtree(self.folder)
                raise Skip("there can be no mount namespace")
            isolated = []
        self.lines, its = socket.socketpair()
        self.lines.settimeout(harness.PATIENCE)
        status = os.fstat(its.fileno())
        stream = "%d:%d" % (status.st_dev, status.st_ino if own_stream else status.st_ino + 1)
        self.socket = os.path.join(self.folder, "socket")
        self.process = subprocess.Popen(
            isolated + [os.path.abspath(Mediator.program), "--socket=" + self.socket, "--driver=test.so",
                        "--config=/dev/null", "--executor=" + os.path.abspath(Mediator.executor),
                        "--tenant=default weight=1"],
            stdin=subprocess.DEVNULL, stderr=its, env=dict(os.environ, JOURNAL_STREAM=stream))
        its.close()

    def text_until(self, *ends):
        """The lines that came as such, to each of those in turn; SIGHUP after the first."""
        text = b""
        for end in ends:
            while end not in text:
                text += self.lines.recv(65536)
            if end is ends[0]:
                self.process.send_signal(signal.SIGHUP)
        return text.decode().splitlines()

    def text_now(self):
        """The lines that came as such."""
        text = b""
        self.lines.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            while piece := self.lines.recv(65536):
                text += piece
        return text.decode().splitlines()

    def collect(self):
        """All the time: the socket holds ten datagrams (net.unix.max_dgram_qlen)."""
        with contextlib.suppress(OSError):
            while datagram := self.fields.recv(65536):
                self.datagrams.append(datagram)

    def records(self):
        found = []
        while self.datagrams:
            # KEY=VALUE in each line, as its native protocol has values without newlines.
            lines = self.datagrams.popleft().decode("ascii").split("\n")
            assert lines.pop() == "", lines
            found.append(dict(line.split("=", 1) for line in lines))
            assert len(found[-1]) == len(lines), lines
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(harness.PATIENCE)
        self.lines.close()
        self.fields.shutdown(socket.SHUT_RDWR)
        self.fields.close()
        shutil.rmtree(self.folder)


def test_journal_gets_priorities():
    """As a prefix of the lines where it takes no fields."""
    ends = b"CUDA initialized", b"was read again"
    with Journal(True, False) as journal:
        lines = journal.text_until(*ends)
    assert all(re.match(r"<[3467]>\S", line) for line in lines), lines
    assert any(line.startswith("<6>Listening on socket: ") for line in lines), lines
    if os.geteuid() == 0:
        assert any(line.startswith("<4>Executors run as root") for line in lines) or \
            os.system("getent passwd vgpu >/dev/null") == 0
    with Journal(False, True) as journal:
        lines = journal.text_until(*ends)
        assert journal.records() == []
    assert all(re.match(r"\d{4}-\d\d-\d\dT\S+Z (info|warning|error) ", line) for line in lines), lines


def test_journal_gets_fields():
    with Journal(True, True) as journal:
        seen = []

        def record(text):
            seen.extend(journal.records())
            return next((record for record in seen if text in record["MESSAGE"]), None)

        assert wait_until(lambda: record("CUDA initialized")), seen
        hostile = b'a"b\\ vm_id=9\nVGPU_VM=9'
        with Device(journal.socket, vm_id=7, pool="C", name=hostile) as device:
            assert device.open(0).kind == harness.READY
            assert wait_until(lambda: record("ready, executor pid")), seen
        # What the socket did not take, for it was full, came as a line.
        seen.extend(journal.records())
        lines = journal.text_now()
        assert len(lines) < len(seen), lines
        assert not {line[3:] for line in lines} & {found["MESSAGE"] for found in seen}, "a line came twice"
        assert all({"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "VGPU_EVENT"} <= set(found) for found in seen), seen
        assert {found["SYSLOG_IDENTIFIER"] for found in seen} == {os.path.basename(Mediator.program)}
        assert all(found["PRIORITY"] in "3467" and found["MESSAGE"].isprintable() for found in seen), seen
        assert {found.get("VGPU_VM", "7") for found in seen} == {"7"}, seen
        channel, connection = record("ready, executor pid"), record('New connection: vm_id=7')
        assert (channel["VGPU_EVENT"], channel["VGPU_VM"], channel["VGPU_POOL"]) == ("channel", "7", "C"), channel
        assert (connection["VGPU_EVENT"], connection["VGPU_VM"]) == ("connection", "7"), connection
        assert record("CUDA initialized")["VGPU_EVENT"] == "general"


def test_log_lines_are_json():
    with Mediator("--log-format=json") as daemon:
        def records():
            found = [json.loads(line) for line in daemon.log().splitlines()]
            assert all({"time", "level", "event", "message"} <= set(record) for record in found), found
            return found

        assert daemon.wait_log("CUDA initialized")
        with Device(daemon.socket, vm_id=7, pool="C", name=b'a"b\\ "vm_id":9\n{') as device:
            assert device.open(0).kind == harness.READY
            assert daemon.wait_log("ready, executor pid")
        assert daemon.wait_log("closed by the peer")
        found = records()
        assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", record["time"]) for record in found), found
        channel, = [record for record in found if "ready, executor pid" in record["message"]]
        assert (channel["event"], channel["vm_id"], channel["pool"], channel["level"]) == ("channel", 7, "C", "info")
        assert {record.get("vm_id", 7) for record in found} == {7}, found
        # What a peer causes is bounded as it is for text, and what was left out is told.
        def knock(count):
            for _ in range(count):
                with Peer(daemon.socket):
                    pass
            return True

        knock(150)
        assert wait_until(lambda: knock(1) and "were left out" in daemon.log())
        assert daemon.log().count("New connection") < 150
        assert len(records()) == daemon.log().count("\n")


if __name__ == "__main__":
    Mediator.program, Mediator.executor = sys.argv[1:3]
    sys.exit(harness.run([value for name, value in list(globals().items()) if name.startswith("test_")]))
