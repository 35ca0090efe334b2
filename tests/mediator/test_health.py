# SPDX-License-Identifier: Apache-2.0
"""Does the mediator say what is wrong: test_health.py MEDIATOR TEST_EXECUTOR VGPU_ADMIN"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile

import harness
from harness import Device, Mediator, wait_until
from ports import free_port

DONE, UNHEALTHY = 0, 7

PROGRAM = None


def checks(daemon):
    """By name, with the exit code that belongs to them."""
    assert daemon.wait_log("ADMIN. vgpu-admin connects to"), daemon.log()
    command = [PROGRAM, "--socket=" + daemon.socket + ".admin"]
    done = subprocess.run([*command, "--json", "show-health"], capture_output=True, text=True, timeout=60)
    found = {check["check"]: check for check in json.loads(done.stdout)}
    expected = DONE if all(check["good"] for check in found.values()) else UNHEALTHY
    assert done.returncode == expected and done.stderr == "", done
    for check in found.values():
        assert check["text"], check
    return found


def bad(daemon):
    """What is wrong, by name."""
    return {name: check["text"] for name, check in checks(daemon).items() if not check["good"]}


def exported(daemon):
    done = subprocess.run([PROGRAM, "--socket=" + daemon.socket + ".admin", "metrics"], capture_output=True, text=True,
                          timeout=60, check=True)
    return {name: value == "1" for name, value in re.findall(r'vgpu_healthy\{check="(\w+)"\} (\d)', done.stdout)}


def admin(daemon, *arguments):
    subprocess.run([PROGRAM, "--socket=" + daemon.socket + ".admin", *arguments], capture_output=True, timeout=60,
                   check=True)


def write(path, text):
    # At once, for an executor may read it just then.
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def test_all_is_well():
    with Mediator() as daemon:
        assert daemon.wait_log("CUDA initialized")
        assert bad(daemon) == {}
        assert set(exported(daemon)) == set(checks(daemon)) and all(exported(daemon).values())


def test_more_devices_than_are_used():
    with Mediator(probe="many") as daemon:
        assert daemon.wait_log("warning CUDA has 8 more devices, which are not used: 32 is the most"), daemon.log()
        assert bad(daemon) == {}
        assert checks(daemon)["driver"]["text"].endswith("32 devices; 8 more are not used")
        done = subprocess.run([PROGRAM, "--socket=" + daemon.socket + ".admin", "--json", "scan-gpus"],
                              capture_output=True, text=True, timeout=60, check=True)
        assert [gpu["gpu"] for gpu in json.loads(done.stdout)] == list(range(32))


def test_a_driver_that_was_never_there():
    for options in ({"driver": "missing.so"}, {"probe": "bad"}, {"probe": "none"},
                    {"executor": "/nowhere/cuda-executor"}):
        with Mediator(**options) as daemon:
            assert daemon.wait_log("CUDA is not available")
            assert set(bad(daemon)) == {"driver"}, (options, bad(daemon))
            assert exported(daemon)["driver"] is False


def test_the_processors_in_the_place_of_a_gpu():
    """NVIDIA's driver does not start and softgpu does: nobody has asked for that."""
    with Mediator(driver=None, probe="no-nvidia") as daemon:
        assert daemon.wait_log("CUDA initialized")
        reason = bad(daemon)["driver"]
        assert "libcuda.so.1: " in reason and "on this host's processors" in reason, reason
    # As somebody says that it is meant; and where only workers compute.
    for option in "--driver=softgpu", "--worker=W=127.0.0.1:1":
        with Mediator(option, driver=None, probe="no-nvidia") as daemon:
            assert daemon.wait_log("CUDA initialized")
            assert "driver" not in bad(daemon)
            if "worker" in option:
                with Device(daemon.socket, vm_id=3, pool="A"):
                    assert "driver" in bad(daemon)


def test_executors_that_do_not_start():
    folder = tempfile.mkdtemp()
    behaviour = os.path.join(folder, "behaviour")
    for what, reason in ("crash", "SIGSEGV|signal"), ("fail", "a reason"), ("no-cuda", "cuInit: CUDA_ERROR_UNKNOWN .999."):
        write(behaviour, what)
        with Mediator(behaviour="file:" + behaviour) as daemon, Device(daemon.socket, pool="B", channels=1) as device:
            assert daemon.wait_log("CUDA initialized")

            def start(kind):
                assert device.open(0).kind == kind
                if what == "no-cuda" and kind == harness.READY:
                    starts.append(0)
                    assert daemon.wait_log(r"CHANNEL. .*: cuInit: ", count=len(starts))
                assert device.close_channel(0).kind == harness.CLOSED

            starts = []
            refused = harness.READY if what == "no-cuda" else harness.FAILED
            start(refused)
            start(refused)
            # Two may have reasons of their own.
            assert bad(daemon) == {}, bad(daemon)
            start(refused)
            assert wait_until(lambda: "executors" in bad(daemon)), checks(daemon)
            text = bad(daemon)["executors"]
            assert "pool B: the last 3 did not start: " in text and re.search(reason, text), text
            assert exported(daemon)["executors"] is False and exported(daemon)["driver"] is True
            write(behaviour, "cuda")
            assert device.open(0).kind == harness.READY
            assert wait_until(lambda: bad(daemon) == {}), bad(daemon)


def test_an_executor_that_says_it_again():
    """One that was taken over does not speak for others."""
    with Mediator(behaviour="no-cuda-again") as daemon, Device(daemon.socket, pool="B", channels=1) as device:
        assert daemon.wait_log("CUDA initialized")
        assert device.open(0).kind == harness.READY
        assert daemon.wait_log(r"CHANNEL. .*: cuInit: ")
        assert device.close_channel(0).kind == harness.CLOSED
        assert bad(daemon) == {}, bad(daemon)
        assert daemon.log().count("cuInit: ") == 1


def test_a_driver_that_breaks_later():
    """It is looked at again when a program does not start, and again until it works."""
    folder = tempfile.mkdtemp()
    library, behaviour = os.path.join(folder, "libcuda"), os.path.join(folder, "behaviour")
    open(library, "w").close()
    write(behaviour, "ready")
    with Mediator(driver="appears:" + library, behaviour="file:" + behaviour) as daemon, \
            Device(daemon.socket, channels=1) as device:
        assert daemon.wait_log("CUDA initialized")
        assert device.open(0).kind == harness.READY
        assert device.close_channel(0).kind == harness.CLOSED
        os.unlink(library)
        write(behaviour, "no-cuda")

        def is_noticed():
            device.open(0)
            device.close_channel(0)
            return "driver" in bad(daemon)

        assert wait_until(is_noticed, 60), daemon.log()
        assert "not there yet" in bad(daemon)["driver"]
        # What was known stays: another GPU may work, and who tries is told by CUDA.
        assert device.open(0).kind == harness.READY
        assert device.close_channel(0).kind == harness.CLOSED
        write(behaviour, "cuda")
        open(library, "w").close()
        assert wait_until(lambda: "driver" not in bad(daemon), 60), daemon.log()
        assert device.open(0).kind == harness.READY
        assert wait_until(lambda: bad(daemon) == {}), bad(daemon)


def test_metrics_that_nobody_can_ask_for():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = "127.0.0.1:%d" % other.getsockname()[1]
        with Mediator("--metrics=" + address, "--heartbeat=1") as daemon:
            assert daemon.wait_log("CUDA initialized")
            assert daemon.wait_log("METRICS. %s: Address already in use" % address)
            assert bad(daemon) == {"metrics": address + ": Address already in use"}
            assert exported(daemon)["metrics"] is False
            other.close()
            # Then it has the place, without being started again; what was wrong was said once.
            assert daemon.wait_log("METRICS. http://%s/metrics" % address, 60)
            assert bad(daemon) == {} and daemon.log().count("Address already in use") == 1
    # An address that is none of this host's.
    with Mediator("--metrics=192.0.2.1:9455") as daemon:
        assert daemon.wait_log("CUDA initialized")
        assert set(bad(daemon)) == {"metrics"}


def test_a_worker_that_is_not_there():
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as credentials:
        credentials.write("psk " + "00" * 32 + "\n")
        credentials.flush()
        with Mediator("--worker=W=127.0.0.1:1", "--worker-credentials=" + credentials.name) as daemon:
            assert wait_until(lambda: "127.0.0.1:1: " in bad(daemon).get("workers", "")), checks(daemon)


def test_a_pool_without_a_gpu():
    with Mediator(probe="two") as daemon:
        assert daemon.wait_log("CUDA initialized")
        admin(daemon, "register-vm", "web", "--pool=C")
        admin(daemon, "assign-gpu", "0", "B")
        assert bad(daemon) == {}
        admin(daemon, "assign-gpu", "1", "B")
        assert bad(daemon) == {"pools": "pool C has no GPU: each is another pool's, or faulty"}
        with Device(daemon.socket, vm_id=9, pool="D"):
            assert "pool C" in bad(daemon)["pools"] and "pool D" in bad(daemon)["pools"]
        assert wait_until(lambda: "pool D" not in bad(daemon)["pools"])
        admin(daemon, "assign-gpu", "1", "none")
        assert bad(daemon) == {}


def test_an_admin_socket_that_could_not_be_opened():
    """vgpu-admin cannot ask then; /healthz says so."""
    port = free_port()
    with Mediator("--admin-socket=/nowhere/admin.sock", "--metrics=127.0.0.1:%d" % port) as daemon:
        assert daemon.wait_log("CUDA initialized") and daemon.wait_log("METRICS. http:")
        with socket.create_connection(("127.0.0.1", port), timeout=harness.PATIENCE) as peer:
            peer.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            answer = b""
            while part := peer.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 503 ") and b"admin: bad: /nowhere/admin.sock" in answer, answer


if __name__ == "__main__":
    Mediator.program, Mediator.executor, PROGRAM = sys.argv[1:4]
    sys.exit(harness.run([value for name, value in list(globals().items()) if name.startswith("test_")]))
