# SPDX-License-Identifier: Apache-2.0
"""Who may administer, and who tries: test_admin_access.py MEDIATOR TEST_EXECUTOR VGPU_ADMIN"""

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time

import administration
import harness
from administration import DENIED, DONE, NO_MEDIATOR, UNHEALTHY, Stream, ask, run
from harness import Mediator, Skip, wait_until

NOBODY = 65534


def test_hostile_requests():
    with Mediator() as daemon:
        with Stream(daemon) as stream:
            for bad in (b"", b"x", b"[]", b"null", b"1", b'"status"', b"{}", b'{"command": 1}', b'{"command": null}',
                        b'{"command": "nothing"}', b'{"command": "status", "arguments": []}',
                        b'{"command": "status", "command": "status"}', b'{"command": "status", "arguments": {"x": 1}}',
                        b'{"command": "show-vm", "arguments": {"vm": {}}}',
                        b'{"command": "show-vm", "arguments": {"vm": ""}}',
                        b'{"command": "show-vm", "arguments": {"vm": "%s"}}' % (b"a" * 60000),
                        b'{"command": "show-vm", "arguments": {"vm": "\\u0000"}}',
                        b'{"command": "show-vm", "arguments": {"vm": "\\ud800"}}',
                        b'{"command": "show-vm", "arguments": {"vm": -1}}',
                        b'{"command": "show-vm", "arguments": {"vm ": "1"}}',
                        b'{"command": "set-weight", "arguments": {"vm": "user:1", "weight": 1e2}}',
                        b'{"command": "register-vm", "arguments": {"name": "\\u001b[2J"}}',
                        b'{"command": "%s"}' % (b"\\u00e9" * 5000), b"[" * 60000, b'{"a":' * 10000, b"\xff\xfe\x00",
                        b"'; DROP TABLE tenants; --"):
                answer = stream.ask(bad)
                assert answer["ok"] is False and answer["code"] in ("invalid", "not-found"), (bad[:80], answer)
            sql = json.dumps({"command": "show-vm", "arguments": {"vm": "x' OR '1'='1"}}).encode()
            assert stream.ask(sql)["code"] == "not-found"
            name = "n'); DROP TABLE tenants; --"
            answer = stream.ask(json.dumps({"command": "register-vm", "arguments": {"name": name}}).encode())
            assert answer["ok"] and answer["result"]["name"] == name
            assert stream.ask(b'{"command": "list-vms"}')["result"][0]["name"] == name
            # Numbers are fine where numbers are meant.
            assert stream.ask(b'{"command": "set-weight", "arguments": {"vm": 1, "weight": 7}}')["ok"]
        with Stream(daemon) as stream:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                stream.send(b"x" * 200000)
            assert stream.receive()["error"] == "the request is too long"
            with contextlib.suppress(ConnectionResetError):
                assert stream.receive() is None
        # Half a request, an end in the middle of it, and many at once.
        half = Stream(daemon)
        half.send(b'{"command": ')
        cut = Stream(daemon)
        cut.send(b'{"command": "status"}')
        cut.socket.close()
        cut.file.close()
        with Stream(daemon) as stream:
            stream.send(b'{"command": "status"}\n' * 500)
            assert all(stream.receive()["ok"] for _ in range(500))
        half.send(b'"status"}\n')
        assert half.receive()["ok"]
        half.__exit__()


def test_who_does_not_read_stops_only_himself():
    with Mediator() as daemon:
        for number in range(60):
            run(daemon, "set-weight", "program:%s-%d" % ("x" * 50, number), "5")
        before = daemon.resident_kilobytes()
        lazy = Stream(daemon)
        lazy.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(100000):
                lazy.socket.send(b'{"command": "list-vms"}\n' * 100)
        start = time.monotonic()
        assert ask(daemon, "status")["health"] == "good"
        assert time.monotonic() - start < 30
        if not os.environ.get("VGPU_SANITIZED"):
            assert daemon.resident_kilobytes() - before < 65536
        lazy.socket.setblocking(True)
        lazy.socket.settimeout(harness.PATIENCE)
        assert lazy.receive()["ok"]
        lazy.__exit__()


def test_connections_are_few():
    with Mediator() as daemon:
        descriptors = daemon.descriptors_at_rest()
        streams = [Stream(daemon) for _ in range(32)]
        assert streams[-1].ask(b'{"command": "status"}')["ok"]
        with Stream(daemon) as extra:
            assert extra.receive()["error"] == "too many administrators are connected"
        for stream in streams:
            stream.__exit__()
        assert wait_until(lambda: daemon.descriptors() == descriptors)
        assert ask(daemon, "status")["health"] == "good"


def test_who_may():
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        raise Skip("needs root and setpriv")
    ordinary = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups"]
    grouped = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--groups=1,2"]
    # Ordinary users get to the folder and to the program.
    with tempfile.TemporaryDirectory(prefix="vgpu-admin-") as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(administration.PROGRAM, folder)
        with Mediator(folder=folder) as daemon:
            path = daemon.socket + ".admin"
            assert daemon.wait_log("ADMIN. vgpu-admin connects to"), daemon.log()
            assert stat.S_IMODE(os.stat(path).st_mode) & 0o007 == 0
            command = [copy, "--socket=" + path, "status"]

            def code(wrapper):
                return subprocess.run([*wrapper, *command], capture_output=True, text=True, timeout=60)

            done = code(ordinary)
            assert done.returncode == DENIED and "only root" in done.stderr, done
            # However the file is: the peer is asked for.
            os.chmod(path, 0o666)
            done = code(ordinary)
            assert done.returncode == DENIED and "only root and the members" in done.stderr, done
            assert daemon.wait_log(r"\[ADMIN\] refused: pid=\d+ uid=%d" % NOBODY)
            assert code(grouped).returncode == DENIED
            assert code([]).returncode == DONE
        with Mediator("--admin-group=daemon", folder=folder) as daemon:
            assert daemon.wait_log("ADMIN. vgpu-admin connects to"), daemon.log()
            assert stat.S_IMODE(os.stat(daemon.socket + ".admin").st_mode) == 0o660
            assert code(ordinary).returncode == DENIED
            assert code(grouped).returncode == DONE
            done = subprocess.run([*grouped, copy, "--socket=" + path, "quarantine-vm", "user:5"], timeout=60)
            assert done.returncode == DONE
            assert ask(daemon, "show-quarantines")[0]["by"] == "user %d" % NOBODY
        with Mediator("--admin-socket=none", folder=folder) as daemon:
            assert code([]).returncode == NO_MEDIATOR
        # Executors run as a user that is never an administrator, whatever its groups are.
        with Mediator("--admin-group=daemon", "--executor-user=nobody", folder=folder) as daemon:
            assert daemon.wait_log("ADMIN. vgpu-admin connects to"), daemon.log()
            assert code(grouped).returncode == DENIED


CHANGES = {
    "register-vm": ("new",), "update-vm": ("user:5", "--weight=3"), "set-pool": ("user:5", "B"),
    "set-priority": ("user:5", "high"), "set-weight": ("user:5", "3"), "set-rate-limit": ("user:5", "--rate=3"),
    "set-vm-id": ("3", "4"), "remove-vm": ("user:5",), "quarantine-vm": ("user:5",), "clear-quarantine": ("user:5",),
    "set-pool-name": ("B", "b"), "update-pool": ("B", "--enabled=no"), "assign-gpu": ("0", "B"), "clear-gpu": ("0",),
    "reload-config": (), "record-workload": (),
}
WORDS = {"show-vm": ("user:5",), "show-pool": ("A",), "top": ("--once", "--interval=0.1")}


def test_readers():
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        raise Skip("needs root and setpriv")
    identity = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY]
    reader, both, stranger = [*identity, "--groups=2"], [*identity, "--groups=1,2"], [*identity, "--clear-groups"]
    commands = {word for line in subprocess.run([administration.PROGRAM, "--help"], capture_output=True, text=True).stdout.split("\n")
                for word in re.findall(r"^  ([a-z]+-?[a-z-]*) ", line)} - {"show-iommu-status"}
    assert commands >= set(CHANGES) | set(WORDS), commands
    with tempfile.TemporaryDirectory(prefix="vgpu-admin-") as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(administration.PROGRAM, folder)
        with Mediator("--admin-group=daemon", "--view-group=bin", folder=folder) as daemon:
            def do(wrapper, *arguments):
                return subprocess.run([*wrapper, copy, "--socket=%s.admin" % daemon.socket, *arguments],
                                      capture_output=True, text=True, timeout=60)

            run(daemon, "update-vm", "user:5", "--weight=77")
            before = ask(daemon, "show-vm", "user:5")
            assert stat.S_IMODE(os.stat(daemon.socket + ".admin").st_mode) == 0o666
            recorded = os.path.join(folder, "recorded")
            os.mkdir(recorded)
            os.chown(recorded, NOBODY, NOBODY)
            # Who may only look is let at whatever changes nothing, and at nothing else.
            for name in sorted(commands):
                words = (recorded,) if name == "record-workload" else CHANGES.get(name) or WORDS.get(name, ())
                done = do(reader, name, *words)
                if name in CHANGES:
                    assert done.returncode == DENIED, (name, done)
                    assert "%s changes something, and you may only look" % name in done.stderr, done
                    assert daemon.wait_log(r"\[ADMIN\] refused: user %d may only look: " % NOBODY)
                else:
                    assert done.returncode in (DONE, UNHEALTHY), (name, done)
            assert ask(daemon, "show-vm", "user:5") == before
            assert ask(daemon, "list-pools")[0]["enabled"] is True
            assert "the workload is recorded" not in daemon.log()
            # Who is in both groups may change; who is in none is told nothing.
            assert do(both, "set-weight", "user:5", "3").returncode == DONE
            assert ask(daemon, "show-vm", "user:5")["weight"] == 3
            done = do(stranger, "status")
            assert done.returncode == DENIED and done.stdout == "" and "only root" in done.stderr, done
            # Strangers that do not read their refusal, and readers, leave places for who administers.
            descriptors = daemon.descriptors_at_rest()
            crowd = "import socket, sys, time\npeers = []\nfor i in range(40):\n" \
                    "    peers.append(socket.socket(socket.AF_UNIX))\n    peers[-1].connect(sys.argv[1])\n" \
                    "print('here', flush=True)\nsys.stdin.read()\n"
            crowds = [subprocess.Popen([*wrapper, sys.executable, "-c", crowd, daemon.socket + ".admin"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                      for wrapper in (stranger, reader)]
            assert all(crowd.stdout.readline() == "here\n" for crowd in crowds)
            run(daemon, "status")
            for one in crowds:
                one.communicate("", timeout=60)
            assert wait_until(lambda: daemon.descriptors() == descriptors)
        # Executors run as a user that may not even look.
        with Mediator("--view-group=bin", "--executor-user=nobody", folder=folder) as daemon:
            assert daemon.wait_log("ADMIN. vgpu-admin connects to"), daemon.log()
            assert do(reader, "status").returncode == DENIED


def test_the_socket_comes_back():
    with Mediator("--heartbeat=1") as daemon:
        run(daemon, "status")
        os.unlink(daemon.socket + ".admin")
        assert wait_until(lambda: os.path.exists(daemon.socket + ".admin"))
        assert ask(daemon, "status")["health"] == "good"


if __name__ == "__main__":
    Mediator.program, Mediator.executor, administration.PROGRAM = sys.argv[1:4]
    sys.exit(harness.run([value for name, value in list(globals().items()) if name.startswith("test_")]))
