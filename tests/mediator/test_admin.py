# SPDX-License-Identifier: Apache-2.0
"""vgpu-admin and the mediator's socket for it: test_admin.py MEDIATOR TEST_EXECUTOR VGPU_ADMIN"""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

import administration
import harness
from administration import CONFLICT, DONE, FAILED, NOT_FOUND, NO_MEDIATOR, UNHEALTHY, USAGE, Stream, ask, run
from harness import Device, Mediator, Skip, wait_until

UUID = "0a0b0c0d-1111-2222-3333-444455556666"
NOBODY = 65534


def test_a_vm_from_its_registration_to_its_removal():
    with Mediator() as daemon:
        assert ask(daemon, "list-vms") == []
        assert ask(daemon, "register-vm", UUID.upper(), "web", "--pool=B", "--vm-id=7")["vm"] == "7"
        assert ask(daemon, "register-vm", "db", "--weight=20")["vm"] == "1"
        assert [vm["vm"] for vm in ask(daemon, "list-vms")] == ["1", "7"]
        assert [vm["vm"] for vm in ask(daemon, "list-vms", "--pool=B")] == ["7"]
        run(daemon, "set-priority", UUID, "high")
        run(daemon, "set-weight", "web", "90")
        run(daemon, "set-pool", "7", "C")
        run(daemon, "set-rate-limit", "7", "--rate=1000", "--queue-depth=16")
        run(daemon, "update-vm", "7", "--name=site", "--memory-mib=512", "--kernel-ms=100",
            "--host-memory-mib=2048", "--host-tasks=200")
        assert [vm["vm"] for vm in ask(daemon, "list-vms", "--priority=high")] == ["7"]
        vm = ask(daemon, "show-vm", "site")
        expected = {"vm": "7", "uuid": UUID, "name": "site", "pool": "C", "priority": "high", "weight": 90,
                    "commands-per-second": 1000, "queue-depth": 16, "memory-mib": 512, "kernel-ms": 100,
                    "host-memory-mib": 2048, "host-tasks": 200,
                    "connected": False, "quarantined": False}
        assert {name: vm[name] for name in expected} == expected, vm
        run(daemon, "update-vm", "7", "--weight=default", "--pool=default")
        assert ask(daemon, "show-vm", "7")["weight"] == 50
        run(daemon, "set-vm-id", "7", "8")
        assert ask(daemon, "show-vm", UUID)["vm"] == "8"
        assert "another one" in run(daemon, "set-vm-id", "8", "1", code=CONFLICT)
        assert ask(daemon, "show-vm", "8")["name"] == "site" and ask(daemon, "show-vm", "1")["name"] == "db"
        run(daemon, "remove-vm", "8")
        run(daemon, "show-vm", "8", code=NOT_FOUND)
        assert [row["weight"] for row in ask(daemon, "show-weights")] == [20]
        assert [row["rate"] for row in ask(daemon, "show-rate-limits")] == [0]


def test_mistakes():
    with Mediator() as daemon:
        run(daemon, "register-vm", UUID, "web")
        for arguments, code in (
                (["register-vm", UUID, "again"], CONFLICT), (["register-vm", "other", "--vm-id=1"], CONFLICT),
                (["register-vm"], USAGE), (["register-vm", "a", "--vm-id=0"], USAGE),
                (["register-vm", "a", "--vm-id=4294967296"], USAGE), (["register-vm", "a", "--weight=0"], USAGE),
                (["register-vm", "a", "b", "c"], USAGE), (["register-vm", "x" * 64], USAGE),
                (["register-vm", "a\nb"], USAGE), (["set-weight", "web", "101"], USAGE),
                (["set-weight", "web", "-1"], USAGE), (["set-weight", "web", "1.5"], USAGE),
                (["set-weight", "web"], USAGE), (["set-weight", "web", "1", "2"], USAGE),
                (["set-weight", "nobody", "1"], NOT_FOUND), (["set-weight", "2", "1"], NOT_FOUND),
                (["set-weight", "vm:2", "1"], NOT_FOUND), (["set-weight", "user:", "1"], NOT_FOUND),
                (["set-priority", "web", "urgent"], USAGE), (["set-pool", "web", "AB"], USAGE),
                (["update-vm", "web", "--memory-mib=99999999999"], USAGE), (["update-vm", "web", "--rate=x"], USAGE),
                (["update-vm", "web", "--uuid=nonsense"], USAGE), (["update-vm", "web", "--colour=red"], USAGE),
                (["set-rate-limit", "web"], USAGE), (["clear-quarantine", "web"], NOT_FOUND),
                (["quarantine-vm", "web", "--for=soon"], USAGE), (["show-pool", "a"], USAGE),
                (["update-pool", "A", "--enabled=perhaps"], USAGE), (["list-vms", "--weight=1"], USAGE),
                (["list-vms", "--pool=QQ"], USAGE), (["list-vms", "--priority=urgent"], USAGE),
                (["update-vm", "web"], USAGE), (["update-pool", "A"], USAGE), (["register-vm", "12"], USAGE),
                (["register-vm", "user:5"], USAGE), (["update-vm", "web", "--name=7"], USAGE),
                ([], USAGE), (["no-such-command"], USAGE), (["--interval=0", "top"], USAGE)):
            run(daemon, *arguments, code=code)
        assert "from 1 to 100" in run(daemon, "set-weight", "web", "0", code=USAGE)
        assert "low, medium, high" in run(daemon, "set-priority", "web", "urgent", code=USAGE)
        # A name is one VM's.
        run(daemon, "register-vm", "twin", "--vm-id=5")
        assert "vm:5 has the name" in run(daemon, "register-vm", "twin", "--vm-id=6", code=CONFLICT)
        run(daemon, "register-vm", "other", "--vm-id=6")
        assert "vm:5 has the name" in run(daemon, "update-vm", "6", "--name=twin", code=CONFLICT)
        run(daemon, "update-vm", "5", "--name=twin", "--weight=50")
        with Device(daemon.socket, vm_id=7, name=b"pair"), Device(daemon.socket, vm_id=8, name=b"pair"):
            assert "give the vm_id" in run(daemon, "set-weight", "pair", "5", code=CONFLICT)
            # Settings under a number that is not the connected VM's would not hold for it.
            run(daemon, "register-vm", "pair", "--vm-id=7", warned=["connected with the vm_id 8, not 7"])
            run(daemon, "remove-vm", "7")
        # Those that were connected have gone.
        assert wait_until(lambda: [vm["weight"] for vm in ask(daemon, "list-vms")] == [50, 50, 50])
        done = subprocess.run([administration.PROGRAM, "--socket=/nonexistent/socket", "status"], capture_output=True, text=True)
        assert done.returncode == NO_MEDIATOR and "no mediator answers" in done.stderr


def test_argument_that_is_the_end_of_another():
    """A mistake, as any other that is not known: nothing is changed."""
    with Mediator() as daemon:
        stream = Stream(daemon)
        for wrong in ("eight", "mory-mib", "d", "", " ", "name vm-id", "name "):
            request = {"command": "register-vm", "arguments": {"name": "site", "vm-id": 7, wrong: 60}}
            answer = stream.ask(json.dumps(request).encode())
            assert (answer["ok"], answer["code"]) == (False, "invalid"), (wrong, answer)
            assert "no argument" in answer["error"], answer
        assert ask(daemon, "list-vms") == []


def test_changes_hold_at_once():
    with Mediator() as daemon, Device(daemon.socket, vm_id=3, channels=4) as device:
        assert device.open(0).kind == harness.READY
        assert ask(daemon, "show-vm", "3")["programs"] == 1
        assert ask(daemon, "show-vm", "test")["vm"] == "3", "by the name that its device told"
        run(daemon, "update-vm", "3", "--processes=1")
        assert "limit of 1" in device.open(1).text
        run(daemon, "update-vm", "3", "--processes=2")
        assert device.open(1).kind == harness.READY
        run(daemon, "set-weight", "3", "10")
        daemon.send_signal(signal.SIGUSR1)
        assert daemon.wait_log("vm_id=3 weight=10 priority=1")
        run(daemon, "set-priority", "3", "low")
        run(daemon, "set-pool", "3", "D")
        run(daemon, "update-vm", "3", "--processes=0")
        assert device.open(2).kind == harness.READY
        assert {pool["pool"]: pool["programs"] for pool in ask(daemon, "list-pools")} == {"A": 2, "B": 0, "D": 1}
        assert ask(daemon, "list-vms")[0]["priority"] == "low"
        run(daemon, "update-pool", "D", "--enabled=no", "--description=closed")
        assert "pool D is disabled" in device.open(3).text
        run(daemon, "set-pool-name", "D", "four")
        assert ask(daemon, "show-pool", "D")["name"] == "four"
        run(daemon, "update-pool", "D", "--enabled=yes")
        assert device.open(3).kind == harness.READY
        assert ask(daemon, "show-vm", "3")["refused"] == 2
        run(daemon, "remove-vm", "3")
        assert ask(daemon, "show-vm", "3")["weight"] == 50


def test_restart_keeps_what_nvml_shows():
    """The new mediator knows which channel is NVML's, and so what it shows when CUDA starts on another GPU."""
    with tempfile.TemporaryDirectory(prefix="vgpu-admin-") as folder:
        options = ("--database=" + os.path.join(folder, "vgpu.db"), "--keep=30")
        how = {"folder": folder, "probe": "two", "behaviour": "greets"}
        with Mediator(*options, **how) as first, Device(first.socket, vm_id=1, channels=4) as device:
            assert first.wait_log("CUDA initialized")
            run(first, "assign-gpu", "0", "A")
            run(first, "assign-gpu", "1", "A", warned=["no GPU is left"])
            assert device.open(0).kind == harness.READY
            assert first.wait_log('greeted: 0 ')
            # NVML's is no program: the first one starts on the same GPU.
            assert device.open(1).kind == harness.READY
            assert first.wait_log("vm_id=1 channel=1.* gpu=0{8}-")
            first.stop(signal.SIGKILL)
            with Mediator(*options, **how) as second:
                assert second.wait_log("adopted 1 connections and 2 executors")
                assert second.wait_log("CUDA initialized")
                # CUDA of NVML's process, on the other GPU.
                device.open_send(2)
                answers = {device.receive().kind for _ in range(2)}
                assert harness.READY in answers and len(answers) == 2, answers
                assert second.wait_log("vm_id=1 channel=2.* gpu=GPU-2")
                assert second.wait_log("vm_id=1 channel=0.*which NVML is to show"), second.log()
                second.stop(signal.SIGINT)


def test_gpus_of_pools():
    with tempfile.TemporaryDirectory(prefix="vgpu-admin-") as folder:
        options = ("--database=" + os.path.join(folder, "vgpu.db"),)
        with Mediator(*options, folder=folder, probe="two") as daemon:
            assert daemon.wait_log("CUDA initialized")
            with Device(daemon.socket, vm_id=1, channels=4) as first:
                assert first.open(0).kind == harness.READY
                assert daemon.wait_log("vm_id=1 channel=0.* gpu=all")
                run(daemon, "assign-gpu", "GPU-2", "B")
                assert [gpu["pool"] for gpu in ask(daemon, "scan-gpus")] == ["", "B"]
                # Those of no pool are for pools without any.
                assert first.open(1).kind == harness.READY
                assert daemon.wait_log("vm_id=1 channel=1.* gpu=0{8}-")
            run(daemon, "assign-gpu", "7", "A", code=NOT_FOUND)
            run(daemon, "assign-gpu", "1", "b", code=USAGE)
            run(daemon, "update-pool", "B", "--policy=round-robin")
            run(daemon, "update-pool", "B", "--policy=luck", code=USAGE)
        with Mediator(*options, "--worker=W=127.0.0.1:1", folder=folder, probe="two") as daemon:
            assert daemon.wait_log("CUDA initialized")
            with Device(daemon.socket, vm_id=2, pool="B", channels=4) as second:
                assert second.open(0).kind == harness.READY
                assert daemon.wait_log("vm_id=2 channel=0.* gpu=GPU-2")
                daemon.send_signal(signal.SIGUSR1)
                assert daemon.wait_log("GPU 1: policy round-robin")
                run(daemon, "update-pool", "B", "--policy=default")
                run(daemon, "assign-gpu", "0", "B", warned=["no GPU is left"])
                assert ask(daemon, "show-pool", "B")["gpus"] == 2
                # The one with fewer programs.
                assert second.open(1).kind == harness.READY
                assert daemon.wait_log("vm_id=2 channel=1.* gpu=0{8}-")
                assert second.open(2).kind == harness.READY
                assert second.open(3).kind == harness.READY
                assert [gpu["programs"] for gpu in ask(daemon, "scan-gpus")] == [2, 2]
                daemon.send_signal(signal.SIGUSR1)
                assert daemon.wait_log("GPU 1: policy fair")
            with Device(daemon.socket, vm_id=3) as third, Device(daemon.socket, vm_id=4, pool="W") as remote:
                assert "pool A has no GPU" in third.open(0).text
                # A worker's pool needs none; this one's relay has no credentials.
                assert "has no GPU" not in remote.open(0).text
                run(daemon, "assign-gpu", "0", "none")
                assert third.open(0).kind == harness.READY


def test_who_loses_the_last_gpu_is_told():
    with Mediator(probe="two") as daemon:
        assert daemon.wait_log("CUDA initialized")
        run(daemon, "register-vm", "web", "--pool=B")
        run(daemon, "register-vm", "db", "--pool=C")
        run(daemon, "assign-gpu", "0", "B")
        # The last one that was nobody's: pool C had no other.
        run(daemon, "assign-gpu", "1", "D", warned=["no GPU is left that belongs to no pool", "pool C has no GPU any more"])
        assert daemon.wait_log("warning .ADMIN. pool C has no GPU any more: programs of its 1 VMs")
        # Nothing that was not so before.
        run(daemon, "assign-gpu", "1", "D")
        run(daemon, "register-vm", "late", "--pool=E", warned=["pool E has no GPU"])
        run(daemon, "set-pool", "late", "C", warned=["pool C has no GPU"])
        run(daemon, "set-pool", "late", "B")
        # Pool B's last one goes to another pool; then to none, where pools without one find it.
        run(daemon, "assign-gpu", "0", "D", warned=["pool B has no GPU any more: programs of its 2 VMs"])
        run(daemon, "assign-gpu", "0", "B")
        answer = ask(daemon, "assign-gpu", "0", "D")
        assert len(answer["warnings"]) == 1 and "pool B" in answer["warnings"][0], answer
        run(daemon, "assign-gpu", "0", "B")
        run(daemon, "assign-gpu", "0", "none", warned=["pool B has no GPU of its own any more"])


def test_quarantine_by_hand():
    with Mediator() as daemon, Device(daemon.socket, vm_id=3) as device:
        run(daemon, "quarantine-vm", "3", "--reason=it mines coins")
        assert "quarantined" in device.open(0).text
        row, = ask(daemon, "show-quarantines")
        assert (row["vm"], row["until"], row["by"], row["reason"]) == ("3", "", "root", "it mines coins"), row
        run(daemon, "reload-config")
        assert "quarantined" in device.open(0).text
        run(daemon, "clear-quarantine", "3")
        assert device.open(0).kind == harness.READY
        run(daemon, "quarantine-vm", "3", "--for=5")
        assert "quarantined" in device.open(1).text
        assert wait_until(lambda: device.open(1).kind == harness.READY)
        assert ask(daemon, "show-quarantines") == []


def test_state_survives_a_restart():
    with tempfile.TemporaryDirectory(prefix="vgpu-admin-") as folder:
        options = ("--database=" + os.path.join(folder, "vgpu.db"),)
        with Mediator(*options, folder=folder) as daemon:
            run(daemon, "register-vm", UUID, "web", "--vm-id=3", "--processes=1")
            run(daemon, "quarantine-vm", "web")
            run(daemon, "set-weight", "user:1000", "5")
            run(daemon, "set-pool-name", "B", "two")
            before = [ask(daemon, name) for name in ("list-vms", "show-quarantines", "list-pools")]
            daemon.send_signal(signal.SIGKILL)
            daemon.process.wait()
        with Mediator(*options, folder=folder) as daemon:
            assert [ask(daemon, name) for name in ("list-vms", "show-quarantines", "list-pools")] == before
            with Device(daemon.socket, vm_id=3) as device:
                assert "quarantined" in device.open(0).text
                run(daemon, "clear-quarantine", "web")
                assert device.open(0).kind == harness.READY
                assert "limit of 1" in device.open(1).text


def test_a_database_that_others_hold():
    with tempfile.TemporaryDirectory(prefix="vgpu-admin-") as folder:
        path = os.path.join(folder, "vgpu.db")
        with Mediator("--database=" + path, folder=folder) as daemon, Device(daemon.socket, vm_id=3) as device:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            start = time.monotonic()
            assert "locked" in run(daemon, "set-weight", "3", "7", code=FAILED)
            assert time.monotonic() - start < 30
            # Who reads does not wait.
            assert device.open(0).kind == harness.READY
            other.execute("ROLLBACK")
            run(daemon, "set-weight", "3", "7")
            # Somebody breaks it: who comes is not let in without his limits.
            other.execute("DROP TABLE tenants")
            with Device(daemon.socket, vm_id=4) as late:
                assert late.reply.error == harness.ERROR_REFUSED and "database" in late.reply.text, late.reply.text
            assert device.open(1).kind == harness.READY
            assert "no such table" in run(daemon, "list-vms", code=FAILED)
            run(daemon, "reload-config")
            other.close()


def test_settings_made_before_the_registration_stay():
    with Mediator() as daemon, Device(daemon.socket, vm_id=3):
        run(daemon, "set-weight", "3", "7")
        run(daemon, "set-weight", "user:01", "7", code=NOT_FOUND)
        run(daemon, "register-vm", "late", "--vm-id=3", "--priority=low")
        vm = ask(daemon, "show-vm", "late")
        assert (vm["weight"], vm["priority"], vm["connected"]) == (7, "low", True)


def test_what_is_shown():
    with Mediator() as daemon, Device(daemon.socket, vm_id=3, name=b"\x1b[31mevil") as device:
        assert daemon.wait_log("CUDA initialized")
        assert device.open(0).kind == harness.READY
        status = ask(daemon, "status")
        assert (status["pid"], status["vms"], status["programs"], status["health"]) == (daemon.pid, 1, 1, "good")
        connection, = ask(daemon, "show-connections")
        assert (connection["kind"], connection["tenant"], connection["pid"]) == ("vm", "vm:3", os.getpid())
        assert ask(daemon, "scan-gpus")[0]["gpu"] == 0
        assert isinstance(ask(daemon, "scan-vms"), list) and isinstance(ask(daemon, "show-iommu-status"), list)
        assert all(check["good"] for check in ask(daemon, "show-health"))
        for command in ("status", "list-vms", "show-vm 3", "show-connections", "show-health", "list-pools",
                        "show-weights", "show-rate-limits", "top --once --interval=0.1"):
            text = run(daemon, *command.split())
            assert text.isprintable() or "\x1b" not in text, repr(text)
        assert "vm:3" in run(daemon, "top", "--once", "--interval=0.1")
        assert set(run(daemon, "--list-commands").split()) > {"scan-vms", "top", "quarantine-vm"}
    with Mediator("--driver=missing.so") as daemon:
        assert daemon.wait_log("CUDA is not available")
        assert "missing.so" in run(daemon, "show-health", code=UNHEALTHY)
        assert ask(daemon, "status")["health"] == "bad"


def test_manual_and_completion_know_all_commands():
    packaging = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging")
    with open(os.path.join(packaging, "man", "vgpu-admin.8.in")) as file:
        manual = file.read().replace("\\-", "-")
    commands = subprocess.run([administration.PROGRAM, "--list-commands"], capture_output=True, text=True, check=True).stdout.split()
    missing = [command for command in commands if command not in manual]
    assert not missing, missing
    usage = subprocess.run([administration.PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"--[a-z-]+", usage)) - {"--usage", "--version"}
    with open(os.path.join(packaging, "bash-completion", "vgpu-admin")) as file:
        completion = file.read()
    missing = [option for option in options if option not in completion]
    assert not missing, missing
    bash = shutil.which("bash")
    if not bash:
        raise Skip("needs bash")
    with Mediator() as daemon:
        run(daemon, "register-vm", "web", "--vm-id=7")
        run(daemon, "register-vm", "the db's box", "--vm-id=8")
        run(daemon, "register-vm", 'say "hi" \\o/', "--vm-id=9")

        def completed(*words):
            script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vgpu_admin; printf "%s\\n" "${COMPREPLY[@]}"'
            environment = dict(os.environ, VGPU_ADMIN_SOCKET=daemon.socket + ".admin",
                               PATH=os.path.dirname(os.path.abspath(administration.PROGRAM)) + ":" + os.environ["PATH"])
            done = subprocess.run([bash, "-c", script, "bash", os.path.join(packaging, "bash-completion", "vgpu-admin"),
                                   "vgpu-admin", *words], capture_output=True, text=True, env=environment, check=True)
            return [line for line in done.stdout.split("\n") if line]

        assert completed("set-w") == ["set-weight"]
        # Names as they are to be typed, also where the operator has begun to.
        assert completed("set-weight", "") == ["7", "web", "8", r"the\ db\'s\ box", "9", r'say\ \"hi\"\ \\o/']
        assert completed("set-weight", "the") == completed("set-weight", r"the\ d") == [r"the\ db\'s\ box"]
        assert completed("show-vm", '"the d') == ["the db's box"] and completed("show-vm", "'the d") == []
        assert completed("show-vm", "'say") == ['say "hi" \\o/']
        # A name is one word.
        assert completed("set-pool", r"the\ db\'s\ box", "Q") == ["Q"]
        assert completed("--json", "set-priority", "7", "h") == ["high"]
        assert completed("list-vms", "--pri") == ["--priority"]
        assert completed("assign-gpu", "") == ["0"]
        assert completed("assign-gpu", "0", "n") == ["none"]


def test_recordings():
    with tempfile.TemporaryDirectory(prefix="vgpu-admin-") as folder, Mediator(folder=folder) as daemon:
        def refused(path, words):
            assert words in run(daemon, "record-workload", path, "--for=3600", code=FAILED)
            assert "the workload is recorded" not in daemon.log()

        # Where nothing can be written is seen before anything is recorded.
        refused("/nonexistent/folder", "No such file")
        refused(administration.PROGRAM, "Not a directory")
        os.mkdir(folder + "/open")
        os.chmod(folder + "/open", 0o777)
        refused(folder + "/open", "others may write")
        os.mkdir(folder + "/full")
        with open(folder + "/full/0-x.txt", "w"):
            pass
        refused(folder + "/full", "not empty")
        os.mkdir(folder + "/good", 0o755)
        os.symlink(folder + "/good", folder + "/link")
        refused(folder + "/link", "")
        if os.geteuid() == 0:
            os.mkdir(folder + "/other", 0o755)
            os.chown(folder + "/other", NOBODY, NOBODY)
            refused(folder + "/other", "another user's")
        # One at a time; who is replaced is told.
        first = subprocess.Popen([administration.PROGRAM, "--socket=%s.admin" % daemon.socket, "record-workload", folder + "/good",
                                  "--for=3600"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert daemon.wait_log("the workload is recorded for 3600 s")
            assert "already" in run(daemon, "record-workload", folder + "/a", "--for=1", code=CONFLICT)
            run(daemon, "record-workload", folder + "/a", "--for=1", "--replace=maybe", code=USAGE)
            run(daemon, "record-workload", folder + "/a", "--for=1", "--replace=yes")
            # A signal ends it early once it sleeps, which follows upon the line in the log.
            while first.poll() is None:
                with open("/proc/%d/status" % first.pid) as file:
                    caught = int((re.search(r"SigCgt:\s*(\w+)", file.read()) or [0, "0"])[1], 16)
                if caught & 1 << (signal.SIGTERM - 1):
                    first.send_signal(signal.SIGTERM)
                time.sleep(0.1)
            error = first.communicate(timeout=60)[1]
            assert first.returncode == NOT_FOUND and "replaced" in error, (first.returncode, error)
        finally:
            if first.poll() is None:
                first.kill()
            first.communicate()
        assert ask(daemon, "record-workload", folder + "/b", "--for=1") == []


def test_top_of_another_version():
    """A mediator that does not tell a tenant's priority."""
    answer = {"ok": True, "result": {"time_ns": 1, "gpus": [], "wait_bounds": [], "call_bounds": [],
                                     "tenants": [{"tenant": "vm:3", "name": "x", "weight": 50}]}}
    with tempfile.TemporaryDirectory(prefix="vgpu-admin-") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(folder + "/s")
        listener.listen()
        listener.settimeout(harness.PATIENCE)
        top = subprocess.Popen([administration.PROGRAM, "--socket=%s/s" % folder, "top", "--once", "--interval=0.1"],
                               stdout=subprocess.PIPE)
        with listener.accept()[0] as peer, peer.makefile("rwb") as stream:
            while stream.readline():
                answer["result"]["time_ns"] += 1000000
                stream.write(json.dumps(answer).encode() + b"\n")
                stream.flush()
        shown = top.communicate(timeout=60)[0]
        assert top.returncode == DONE and b"\0" not in shown and b" -50 " in shown, shown


def test_reload():
    with Mediator() as daemon:
        with open(daemon.configuration, "w") as file:
            file.write("tenant = vm:4 weight=33\ntenant = vm:5 weight=34\n")
        run(daemon, "set-weight", "user:1", "5")
        run(daemon, "register-vm", "five", "--vm-id=5", "--weight=6")
        run(daemon, "register-vm", "four", "--vm-id=4")
        run(daemon, "reload-config")
        weights = {row["vm"]: row["weight"] for row in ask(daemon, "show-weights")}
        assert weights == {"4": 33, "5": 6, "user:1": 5}, weights
        with open(daemon.configuration, "w") as file:
            file.write("nonsense\n")
        assert "stays as it was" in run(daemon, "reload-config", code=FAILED)
        assert {row["vm"]: row["weight"] for row in ask(daemon, "show-weights")} == weights


if __name__ == "__main__":
    Mediator.program, Mediator.executor, administration.PROGRAM = sys.argv[1:4]
    sys.exit(harness.run([value for name, value in list(globals().items()) if name.startswith("test_")]))
