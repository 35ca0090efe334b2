# SPDX-License-Identifier: Apache-2.0
"""The daemon itself: sockets, users, driver, signals, discovery: test_daemon.py MEDIATOR TEST_EXECUTOR"""

import errno
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

import harness
from harness import WRONG_SETTINGS, Device, Mediator, Peer, Skip, listens, wait_until

EXIT_IN_USE = 3


def refusal_of_program(mediator):
    with Peer(mediator.socket) as program:
        program.send(harness.client_hello())
        reply = program.receive()
        assert reply.kind == harness.HELLO_REPLY, reply.kind
        return reply


def test_start_and_stop():
    # An executor that ends when it is told to is not waited for: the end takes moments.
    with Mediator("--heartbeat=1", "--executor-stop-timeout=60") as mediator:
        assert mediator.wait_log(r"CUDA initialized: driver version 13\.0 \(software\), library test\.so, 1 devices")
        assert mediator.wait_log(r"Found \d+ QEMU VMs with vgpu-cuda devices")
        assert mediator.wait_log(r"\[HEARTBEAT\] alive", count=2)
        assert "Total processed: 0" in mediator.log() and "Pool A processed: 0" in mediator.log()
        device = Device(mediator.socket)
        assert device.open(0).kind == harness.READY
        executor, = mediator.executors()
        start = time.monotonic()
        assert mediator.stop() == 0
        assert time.monotonic() - start < 30
        assert device.is_closed()
        assert not os.path.exists(mediator.socket)
        assert not os.path.exists("/proc/%d" % executor)
        assert "[SOCKET] New connection" in mediator.log()
        assert "[CONNECTION] New connection: vm_id=1 pool=A priority=medium" in mediator.log()
        device.close()


def test_interrupt_stops_too():
    with Mediator() as mediator:
        assert mediator.stop(signal.SIGINT) == 0
        assert not os.path.exists(mediator.socket)


def test_device_comes_back_after_a_restart():
    with Mediator() as first:
        device = Device(first.socket, vm_id=5)
        assert device.open(0).kind == harness.READY
        assert first.stop() == 0
        assert device.is_closed()
        device.close()
        with Mediator(folder=first.folder) as second:
            with Device(second.socket, vm_id=5) as again:
                assert again.reply.error == harness.ERROR_NONE
                assert again.open(0).kind == harness.READY


def test_killed_mediator_leaves_nothing():
    with Mediator(behaviour="stubborn") as mediator:
        device = Device(mediator.socket)
        assert device.open(0).kind == harness.READY
        executor, = mediator.executors()
        mediator.process.kill()
        mediator.process.wait()
        # The executor ignores the end of its socket; the kernel ends it.
        assert wait_until(lambda: not process_lives(executor))
        assert device.is_closed()
        device.close()
        assert os.path.exists(mediator.socket), "nobody could have removed it"
        with Mediator(folder=mediator.folder) as second:
            assert second.wait_log("replacing a stale socket")
            with Device(second.socket) as again:
                assert again.open(0).kind == harness.READY


def process_lives(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_second_mediator_refuses():
    with Mediator() as first:
        second = Mediator(folder=first.folder, wait=False)
        assert second.process.wait(harness.PATIENCE) == EXIT_IN_USE
        assert second.wait_log("another mediator is running")
        with Device(first.socket) as device:
            assert device.open(0).kind == harness.READY


def test_socket_of_another_program():
    folder = tempfile.mkdtemp()
    other = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    other.bind(os.path.join(folder, "mediator.sock"))
    other.listen()
    mediator = Mediator(folder=folder, wait=False)
    assert mediator.process.wait(harness.PATIENCE) == EXIT_IN_USE
    assert mediator.wait_log("another program listens there")
    other.close()
    os.unlink(mediator.socket)
    with open(mediator.socket, "w") as precious:
        precious.write("no socket")
    mediator = Mediator(folder=folder, wait=False)
    assert mediator.process.wait(harness.PATIENCE) == 1
    assert mediator.wait_log("is no socket")
    with open(mediator.socket) as precious:
        assert precious.read() == "no socket"
    shutil.rmtree(folder)


def test_squatter_does_not_keep_it_from_starting():
    """Anybody can listen at the place in /tmp; the daemon then goes on with the other socket."""
    if os.geteuid() != 0:
        raise Skip("needs root, for a socket of somebody else")
    folder = tempfile.mkdtemp()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as squatter:
        path = os.path.join(folder, "mediator.sock")
        squatter.bind(path)
        squatter.listen()
        os.chown(path, 65534, 65534)
        mediator = Mediator(folder=folder, wait=False)
        assert mediator.process.wait(harness.PATIENCE) == 1
        assert mediator.wait_log("user 65534 listens there")
        assert os.path.exists(path)
    shutil.rmtree(folder)


def test_socket_rights():
    with Mediator() as mediator:
        assert stat.S_IMODE(os.stat(mediator.socket).st_mode) == 0o660
    with Mediator("--socket-mode=0600") as mediator:
        assert stat.S_IMODE(os.stat(mediator.socket).st_mode) == 0o600


def as_user(mediator, user, hello, with_memory):
    """The reply that another user gets, through a child process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        try:
            with Peer(mediator.socket) as peer:
                peer.send(hello, [harness.memory_file(8 << 20)] if with_memory else [])
                reply = peer.receive()
                os.write(writer, ("%d %s" % (reply.error, reply.text)).encode())
        except OSError as error:
            os.write(writer, ("errno %d" % error.errno).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    answer = os.read(reader, 1000).decode()
    os.close(reader)
    return answer


def test_ordinary_users():
    if os.geteuid() != 0:
        raise Skip("needs root, to become another user")
    nobody = 65534
    with Mediator() as mediator:
        os.chmod(mediator.folder, 0o755)
        assert as_user(mediator, nobody, harness.client_hello(), False) == "errno %d" % errno.EACCES
    with Mediator("--socket-mode=0666") as mediator:
        os.chmod(mediator.folder, 0o755)
        assert as_user(mediator, nobody, harness.client_hello(), False) == "0 "
        refused = as_user(mediator, nobody, harness.device_hello(), True)
        assert refused.startswith("%d user 65534 may not connect as a VM" % harness.ERROR_REFUSED), refused
        assert mediator.wait_log("uid=65534")
    with Mediator("--socket-mode=0666", "--device-user=nobody") as mediator:
        os.chmod(mediator.folder, 0o755)
        assert as_user(mediator, nobody, harness.device_hello(), True) == "0 "


def test_jobs_user():
    """Only the user of vgpu-jobs may say that a program runs a VM's job, and no executor."""
    if os.geteuid() != 0:
        raise Skip("needs root, to become another user")
    nobody = 65534
    hello = harness.client_hello(job_vm_id=7)
    with Mediator("--socket-mode=0666") as mediator:
        os.chmod(mediator.folder, 0o755)
        refused = as_user(mediator, nobody, hello, False)
        assert refused.startswith("%d user 65534 may not run jobs of VMs" % harness.ERROR_REFUSED), refused
        with Peer(mediator.socket) as root:
            root.send(hello)
            assert root.receive().error == harness.ERROR_NONE
        assert mediator.wait_log("vm_id=7 pool=A .* job of")
    with Mediator("--socket-mode=0666", "--jobs-user=nobody") as mediator:
        os.chmod(mediator.folder, 0o755)
        assert as_user(mediator, nobody, hello, False) == "0 "
        assert mediator.wait_log("vm_id=7 pool=A .* job of")
    with Mediator("--socket-mode=0666", "--jobs-user=nobody", "--executor-user=nobody") as mediator:
        os.chmod(mediator.folder, 0o755)
        assert as_user(mediator, nobody, hello, False).startswith("%d " % harness.ERROR_REFUSED)


def test_device_after_job():
    """What a VM's device says of its class and pool holds, though a job of the VM was there first."""
    with Mediator() as mediator, Peer(mediator.socket) as job:
        job.send(harness.client_hello(job_vm_id=7))
        answer = job.receive()
        if answer.error == harness.ERROR_REFUSED:
            raise Skip("needs a user that may run jobs")
        with Device(mediator.socket, vm_id=7, pool="B", priority=0):
            assert mediator.wait_log("vm_id=7 pool=B priority=low")


def test_executor_user():
    if os.geteuid() != 0:
        raise Skip("needs root, to start executors as another user")
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    executor = shutil.copy(Mediator.executor, folder)
    with Mediator("--executor-user=nobody", executor=executor) as mediator, Device(mediator.socket) as device:
        answer = device.open(0)
        assert answer.kind == harness.READY, answer.text
        assert mediator.wait_log("surroundings: .* user=65534")
    shutil.rmtree(folder)


def test_control_group_that_cannot_be_used():
    """It is said once, and executors run without; what is no group at all is a mistake."""
    for setting, complaint in (("/tmp", "/tmp: no control group of version 2: executors run without"),
                               ("/nonexistent/group", "No such file or directory: executors run without")):
        with Mediator("--executor-cgroup=" + setting) as mediator, Device(mediator.socket) as device:
            for channel in 0, 1:
                assert device.open(channel).kind == harness.READY
            assert mediator.log().count(complaint) == 1, mediator.log()
    mediator = Mediator("--executor-cgroup=here", wait=False)
    assert mediator.process.wait(harness.PATIENCE) == WRONG_SETTINGS
    assert mediator.wait_log('executor-cgroup: "here" is neither "own" nor an absolute path')
    shutil.rmtree(mediator.folder)


def test_executor_users():
    """Each VM's executors have a user of their own, the same one for all of them, which is no VM's and no administrator's."""
    if os.geteuid() != 0:
        raise Skip("needs root, to start executors as other users")
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    executor = shutil.copy(Mediator.executor, folder)
    with Mediator("--executor-user=nobody", "--executor-users-first=700000", "--executor-users-count=2",
                  "--socket-mode=0666", executor=executor) as mediator:
        os.chmod(mediator.folder, 0o755)

        def users():
            return re.findall(r"surroundings: .* user=(\d+)", mediator.log())
        with Device(mediator.socket, vm_id=1) as one, Device(mediator.socket, vm_id=2) as two:
            for device, channel in ((one, 0), (one, 1), (two, 0)):
                answer = device.open(channel)
                assert answer.kind == harness.READY, answer.text
            assert wait_until(lambda: len(users()) == 3)
            assert sorted(users()) == ["700000", "700000", "700001"], users()
            with Device(mediator.socket, vm_id=3) as three:
                answer = three.open(0)
                assert answer.kind == harness.FAILED, answer.kind
                assert mediator.wait_log("no user is left for its executors")
            refused = as_user(mediator, 700001, harness.device_hello(), True)
            assert refused.startswith("%d user 700001 may not connect as a VM" % harness.ERROR_REFUSED), refused
        # What has ended gives its user back.
        assert wait_until(lambda: not mediator.children())
        with Device(mediator.socket, vm_id=4) as four:
            assert four.open(0).kind == harness.READY
            assert wait_until(lambda: len(users()) == 4) and users()[3] in ("700000", "700001")
    shutil.rmtree(folder)
    mediator = Mediator("--executor-users-first=10", wait=False)
    assert mediator.process.wait(harness.PATIENCE) == WRONG_SETTINGS
    assert mediator.wait_log("are no users for executors")
    shutil.rmtree(mediator.folder)


def test_removed_socket_comes_back():
    with Mediator("--heartbeat=1") as mediator:
        os.unlink(mediator.socket)
        assert mediator.wait_log("was removed by somebody") and wait_until(lambda: listens(mediator.socket))
        with Device(mediator.socket) as device:
            assert device.reply.error == harness.ERROR_NONE


def test_xen_chroots_come_and_go():
    folder = tempfile.mkdtemp()
    xen = os.path.join(folder, "qemu")
    os.makedirs(os.path.join(xen, "root-3", "tmp"))
    first, second = (os.path.join(xen, "root-%d" % number, "tmp", "vgpu-mediator.sock") for number in (3, 4))
    with Mediator("--xen-directory=" + xen, "--heartbeat=3600") as mediator:
        assert mediator.wait_log("Listening on socket: " + re.escape(first))
        assert stat.S_IMODE(os.stat(first).st_mode) == 0o666
        os.mkdir(os.path.join(xen, "root-4"))
        time.sleep(0.05)
        os.mkdir(os.path.join(xen, "root-4", "tmp"))
        assert mediator.wait_log("Listening on socket: " + re.escape(second))
        with Device(second, vm_id=4) as device:
            assert device.open(0).kind == harness.READY
            shutil.rmtree(os.path.join(xen, "root-3"))
            assert mediator.wait_log(re.escape(first) + " is gone")
            device.ring()
            assert device.interrupted()
        # A link in the place of tmp must not lead the daemon elsewhere.
        os.mkdir(os.path.join(folder, "elsewhere"))
        os.mkdir(os.path.join(xen, "root-5"))
        os.symlink(os.path.join(folder, "elsewhere"), os.path.join(xen, "root-5", "tmp"))
        time.sleep(0.2)
        assert os.listdir(os.path.join(folder, "elsewhere")) == []
    assert not os.path.exists(second)
    shutil.rmtree(folder)


def test_missing_driver_and_its_return():
    appearing = os.path.join(tempfile.mkdtemp(), "libcuda")
    with Mediator(driver="appears:" + appearing) as mediator:
        assert mediator.wait_log("CUDA is not available: appears:.*not there yet; trying again")
        reply = refusal_of_program(mediator)
        assert reply.error == harness.ERROR_NO_DRIVER and "not there yet" in reply.text, reply.text
        with Device(mediator.socket) as device:
            assert device.reply.error == harness.ERROR_NONE
            failed = device.open(0)
            assert (failed.kind, failed.error) == (harness.FAILED, harness.ERROR_NO_DRIVER), failed.text
            assert device.close_channel(0).kind == harness.CLOSED
            open(appearing, "w").close()
            assert mediator.wait_log("CUDA initialized")
            assert device.open(0).kind == harness.READY
    shutil.rmtree(os.path.dirname(appearing))


def test_missing_driver_library():
    with Mediator(driver="/nowhere/missing.so") as mediator:
        assert mediator.wait_log("CUDA is not available: /nowhere/missing.so: .*cannot open shared object")
        assert refusal_of_program(mediator).error == harness.ERROR_NO_DRIVER


def test_driver_without_devices():
    with Mediator(probe="none") as mediator:
        assert mediator.wait_log("CUDA is not available: .*no devices")
        assert refusal_of_program(mediator).error == harness.ERROR_NO_DRIVER


def test_driver_whose_kernels_reach_the_host():
    # Nobody wants softgpu in the place of a GPU that has only to be set up.
    with Mediator(probe="reaching", driver=None) as mediator:
        assert mediator.wait_log("CUDA is not available: GPU 0: kernels reach all memory of their process; .*"
                                 "uvm_disable_hmm=1, or set allow-pageable-access")
        reply = refusal_of_program(mediator)
        assert reply.error == harness.ERROR_NO_DRIVER and "kernels reach" in reply.text, reply.text
        assert "Driver not usable" not in mediator.log()
    with Mediator("--allow-pageable-access=yes", probe="reaching") as mediator, Device(mediator.socket) as device:
        assert mediator.wait_log("warning GPU 0: kernels reach all memory of their process")
        assert device.open(0).kind == harness.READY


def test_driver_that_does_not_answer():
    with Mediator("--probe-timeout=1", probe="slow") as mediator:
        # Asked while the probe runs: answered when it has ended.
        reply = refusal_of_program(mediator)
        assert reply.error == harness.ERROR_NO_DRIVER and "did not answer in time" in reply.text, reply.text
        assert mediator.wait_log("CUDA is not available: .*did not answer in time")
        assert wait_until(lambda: mediator.children() == [])


def test_missing_executor():
    with Mediator(executor="/nowhere/cuda-executor") as mediator:
        assert mediator.wait_log("CUDA is not available: .*cannot start /nowhere/cuda-executor: exec: No such file")
        reply = refusal_of_program(mediator)
        assert reply.error == harness.ERROR_NO_DRIVER and "/nowhere/cuda-executor" in reply.text, reply.text


def test_discovery():
    with Mediator("--heartbeat=1") as mediator:
        assert mediator.wait_log(r"Found (\d+) QEMU VMs")

        def last_count():
            """Others may run on this machine too."""
            return int(re.findall(r"Z info Found (\d+) QEMU VMs with vgpu-cuda devices", mediator.log())[-1])

        def pretend(name, *arguments):
            return subprocess.Popen([name, "-c", "import time; time.sleep(600)", *arguments], executable=sys.executable)

        machines = [
            pretend("/usr/bin/qemu-system-x86_64", "-name", "guest=alpha,debug-threads=on", "-device",
                    "vgpu-cuda,pool_id=A,vm_id=77"),
            pretend("qemu-kvm", "-name", "beta\nFound 99 QEMU VMs", "--device", '{"driver":"vgpu-cuda","vm_id":78}'),
            pretend("qemu-system-x86_64", "-device", "virtio-net-pci", "-name", "vgpu-cuda"),
            pretend("editor", "-device", "vgpu-cuda,vm_id=79"),
            pretend("/usr/local/sbin/vgpu-xen", "--background", "--vm-id=81", "--pool", "7", "12", "6"),
            pretend("vgpu-xen-grants", "--socket=/x", "--vm-id", "82", "--channels", "4", "13"),
            pretend("vgpu-xen-grants", "--guests", "7", "--socket=14"),
        ]
        try:
            assert mediator.wait_log(r'QEMU pid=%d name="alpha" vm_id=77' % machines[0].pid)
            assert mediator.wait_log(r'QEMU pid=%d name="beta\?Found 99 QEMU VMs" vm_id=78' % machines[1].pid)
            assert mediator.wait_log(r'Xen pid=%d name="domain 12" vm_id=81' % machines[4].pid)
            assert mediator.wait_log(r'Xen grants pid=%d name="domain 13" vm_id=82' % machines[5].pid)
            assert last_count() >= 3 and mediator.wait_log(r"Found [1-9]\d* Xen guests with channels over grants")
            assert "pid=%d " % machines[6].pid not in mediator.log()
            found = mediator.log().count("QEMU VMs with vgpu-cuda")
        finally:
            for machine in machines:
                machine.kill()
                machine.wait()
        # The list is written again when it changes.
        assert mediator.wait_log("QEMU VMs with vgpu-cuda", count=found + 1)
        # It may have changed before, too, for others that run on this machine.
        assert wait_until(lambda: "pid=%d" % machines[0].pid not in
                          mediator.log().rsplit("QEMU VMs with vgpu-cuda", 1)[1]), mediator.log()
        assert "vm_id=79" not in mediator.log() and not re.search("^.*Z info Found 99", mediator.log(), re.M)


if __name__ == "__main__":
    Mediator.program, Mediator.executor = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.exit(harness.run([test for name, test in list(globals().items()) if name.startswith("test_")]))
