# SPDX-License-Identifier: Apache-2.0
"""The daemon itself: sockets, driver, log, signals, discovery: test_daemon.py MEDIATOR TEST_EXECUTOR"""

import contextlib
import errno
import fcntl
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
from harness import Device, Mediator, Peer, Skip, wait_until

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


def test_the_packaged_configuration():
    packaged = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "mediator.conf")
    with open(packaged) as file:
        text = file.read()
    # What is commented out shows built-in values: it must be as right.
    text += "".join(re.sub(r"^#(?=[a-z-]+ = )", "", line) + "\n" for line in text.splitlines()
                    if re.match(r"#(%s) = " % "|".join(("slow-wait", "policy", "slice", "aging", "quarantine-time",
                                                        "heartbeat", "admin-group", "placement",
                                                        "tenant")), line))
    # The group of vgpu-admin, which this machine need not have, but some.
    text = text.replace("admin-group = vgpu-admin", "admin-group = daemon")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "packaged.conf")
        with open(path, "w") as file:
            file.write(text)
        with Mediator("--config=" + path, "--database=" + os.path.join(folder, "vgpu.db"), "--metrics=none",
                      "--compute-cache=" + os.path.join(folder, "cache"), "--keep=0") as mediator:
            assert mediator.wait_log("CUDA initialized")


WRONG_SETTINGS = 2
WRONG_VALUES = (
    ("placement=here", "one of program, tenant"), ("policy=luck", "one of fair"), ("log-level=loud", "one of error"), ("log-format=xml", "one of text, json"),
    ("metrics=foo", "a numeric address"), ("metrics=localhost:80", "a numeric address"),
    ("metrics=127.0.0.1", "a numeric address"), ("metrics=127.0.0.1:0", "a numeric address"),
    ("metrics=127.0.0.1:99999", "a numeric address"), ("socket=/" + "x" * 200, "at most 107 characters"),
    ("admin-socket=/" + "x" * 200, "at most 107 characters"), ("socket-mode=9", "an octal number from 1 to 777"),
    ("heartbeat=0", "a number from 1 to 86400"), ("heartbeat=", "a number"), ("local-pool=AB", "A-Z"),
    ("worker=B", "A to Z"), ("worker=host:1", "A to Z"), ("worker=B=", "HOST:PORT"), ("worker=B=host", "HOST:PORT"),
    ("worker=B=host:0", "no port"), ("worker=B=host:65536", "no port"), ("worker=B=host:http", "no port"),
    ("worker=B=:5555", "HOST:PORT"), ("socket-group=no-such-group", "no such group"),
    ("admin-group=no-such-group", "no such group"), ("view-group=no-such-group", "no such group"),
    ("executor-user=no-such-user", "no such user"), ("executor-environment=A=b", "the name of a variable"),
    ("driver=" + "x" * 300, "at most 255 characters"), ("tenant=vmm:3 weight=1", "none of vm:N"),
    ("tenant=vm:x weight=1", "none of vm:N"), ("tenant=vm:3 weight=0", "no setting of a tenant"),
    ("tenant=vm:3 colour=red", "no setting of a tenant"), ("worker-pack=perhaps", "yes|no"),
    ("worker-lanes=9", "a number from 0 to 8"), ("executor=", "PATH"),
)


def test_wrong_values_of_options():
    for option, reason in WRONG_VALUES:
        mediator = Mediator("--" + option, wait=False)
        name, _, value = option.partition("=")
        assert mediator.process.wait(harness.PATIENCE) == WRONG_SETTINGS, option
        line = '--%s: "%s" is no value (' % (name, value)
        assert line in mediator.log() and reason in mediator.log(), (option, mediator.log())
        shutil.rmtree(mediator.folder)
    for option in ("--no-such-setting=1", "surplus", "--heartbeat"):
        mediator = Mediator(option, wait=False)
        assert mediator.process.wait(harness.PATIENCE) == WRONG_SETTINGS, option
        shutil.rmtree(mediator.folder)


def test_usual_places():
    """In a mount namespace with a /var and /tmp of its own: the machine may run a mediator."""
    wrapper = ["unshare", "--mount", "sh", "-c",
               'mount -t tmpfs tmpfs /var && mkdir /var/lib && mount -t tmpfs tmpfs /tmp && exec "$@"', "sh"]
    if os.path.abspath(Mediator.program).startswith(("/var/", "/tmp/")):
        raise Skip("the program lies where the test hides everything")
    if os.path.exists("/etc/vgpu/mediator.conf"):
        raise Skip("this machine has a configuration")
    if subprocess.run(wrapper + ["true"], stderr=subprocess.DEVNULL).returncode:
        raise Skip("this machine does not allow mount namespaces")
    with Mediator("--heartbeat=1", wrapper=wrapper, usual_places=True, wait=False) as mediator:
        assert mediator.wait_log("Listening on socket: /var/vgpu/mediator.sock")
        assert mediator.wait_log("Listening on socket: /tmp/vgpu-mediator.sock")
        root = "/proc/%d/root" % mediator.pid
        for path, mode in (("/var/vgpu/mediator.sock", 0o660), ("/tmp/vgpu-mediator.sock", 0o666)):
            status = os.stat(root + path)
            assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == mode, path
            with Peer(root + path) as program:
                program.send(harness.client_hello())
                assert program.receive().error == harness.ERROR_NONE
        assert mediator.wait_log("vgpu-admin connects to /var/vgpu/admin.sock")
        assert stat.S_IMODE(os.stat(root + "/var/vgpu/admin.sock").st_mode) & 0o007 == 0
        assert stat.S_IMODE(os.stat(root + "/var/lib/vgpu").st_mode) == 0o750
        assert stat.S_IMODE(os.stat(root + "/var/lib/vgpu/vgpu.db").st_mode) == 0o600
        # Another mediator of this machine may have the port.
        assert mediator.wait_log(r"\[METRICS\] (http://)?127\.0\.0\.1:9455")
        with open("/proc/%d/net/unix" % mediator.pid) as file:
            assert re.search(r" /var/vgpu/mediator\.sock$", file.read(), re.M), "ss and netstat show its path"
        assert mediator.stop() == 0


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


def listens(path):
    """The file is there a moment before."""
    try:
        Peer(path).close()
        return True
    except (FileNotFoundError, ConnectionRefusedError):
        return False


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


def test_log_injection():
    with Mediator(behaviour="fail") as mediator:
        name = b'evil\n2026-01-01T00:00:00.000Z info Found\x1b[2J" vm_id=99'
        with Device(mediator.socket, name=name) as device:
            assert device.reply.error == harness.ERROR_NONE
            device.open(0)
        with Peer(mediator.socket) as program:
            program.send(harness.client_hello(name=b"\xff\xfe\r\nTotal processed: 1000"))
            program.receive()
        assert mediator.wait_log("closed by the peer", count=1)
        with open(mediator.log_path, "rb") as file:
            lines = file.read().split(b"\n")
        for line in lines[:-1]:
            assert re.match(rb"^20\d\d-\d\d-\d\dT[\d:.]+Z (error|warning|info|debug) [ -~]+$", line), line
        assert not any(line.endswith(b"Total processed: 1000") for line in lines)
        assert not any(b"evil" in line and b'" vm_id=99' in line for line in lines)


def test_log_flood_is_limited():
    with Mediator(behaviour="chatter") as mediator:
        with Device(mediator.socket) as device:
            assert device.open(0).kind == harness.READY
        assert mediator.wait_log("the executor ended")
        lines = mediator.log().count("chatter")
        assert 100 <= lines < 3000, lines
    # A guest that opens and closes without end, and programs that come and go.
    with Mediator() as mediator:
        with Device(mediator.socket, vm_id=2) as device:
            # What a peer may cause: 100 lines and 10 a second of events, 200 and 50 of its executors, as many that say how
            # many were left out.
            start = time.monotonic()
            for number in range(300):
                device.send(harness.channel_message(harness.OPEN, 0, 1), [device.doorbell, device.interrupt])
                # Some come to be executors, others are closed before; starts are paced too.
                if number < 50:
                    assert device.receive().kind == harness.READY
                device.send(harness.channel_message(harness.CLOSE, 0, 1))
                while device.receive().kind != harness.CLOSED:
                    pass
            assert 100 <= mediator.log().count("vm_id=2") < 600 + 120 * (time.monotonic() - start)
        start = time.monotonic()
        for _ in range(500):
            with Peer(mediator.socket) as peer:
                peer.send(b"nonsense")
                peer.is_closed()
        assert mediator.log().count("[SOCKET]") < 300 + 20 * (time.monotonic() - start)
    with Mediator(probe="bad") as mediator, Device(mediator.socket, vm_id=3) as device:
        assert mediator.wait_log("CUDA is not available")
        start = time.monotonic()
        for _ in range(1500):
            assert device.open(0).kind == harness.FAILED
        assert 90 <= mediator.log().count("vm_id=3 channel=0: refused") < 300 + 20 * (time.monotonic() - start)


def test_full_disk():
    full = "/dev/full"
    with Mediator("--heartbeat=1", log=full, wait=False) as mediator:
        assert wait_until(lambda: listens(mediator.socket))
        with Device(mediator.socket) as device:
            assert device.open(0).kind == harness.READY
            device.ring()
            assert device.interrupted()
            assert device.close_channel(0).kind == harness.CLOSED


def test_full_disk_that_is_freed():
    if os.geteuid() != 0:
        raise Skip("needs root, to mount a small file system")
    disk = tempfile.mkdtemp()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], stderr=subprocess.DEVNULL).returncode:
        os.rmdir(disk)
        raise Skip("this machine does not allow to mount")
    try:
        log = os.path.join(disk, "log")
        filler = os.path.join(disk, "filler")
        with Mediator("--heartbeat=1", "--log=" + log, wait=False) as mediator:
            mediator.log_file(log)
            assert mediator.wait_log("Listening on socket")
            with open(filler, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * 512)
                except OSError as error:
                    assert error.errno == errno.ENOSPC
            with Device(mediator.socket) as device:
                for _ in range(20):
                    assert device.open(0).kind == harness.READY
                    assert device.close_channel(0).kind == harness.CLOSED
                mediator.send_signal(signal.SIGUSR1)
                time.sleep(1.2)
                os.unlink(filler)
                assert mediator.wait_log(r"\[LOG\] \d+ lines were lost")
                assert device.open(0).kind == harness.READY
    finally:
        subprocess.run(["umount", disk], check=True)
        os.rmdir(disk)


def test_reader_of_the_log_that_stopped():
    reader, writer = os.pipe()
    with Mediator("--heartbeat=1", log="/proc/self/fd/%d" % writer, wait=False) as mediator:
        assert wait_until(lambda: listens(mediator.socket))
        fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
        try:
            while True:
                os.write(writer, b"x" * 4096)
        except BlockingIOError:
            pass
        fcntl.fcntl(writer, fcntl.F_SETFL, 0)
        with Device(mediator.socket) as device:
            assert device.open(0).kind == harness.READY
            device.ring()
            assert device.interrupted()
        assert not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK, "the pipe of whoever started us was changed"
    os.close(reader)
    os.close(writer)


def test_log_rotation_and_reload():
    folder = tempfile.mkdtemp()
    log = os.path.join(folder, "mediator.log")
    with Mediator("--log=" + log, wait=False) as mediator:
        mediator.log_file(log)
        assert mediator.wait_log("Listening on socket")
        with Device(mediator.socket) as device:
            assert device.open(0).kind == harness.READY
            os.rename(log, log + ".1")
            with open(mediator.configuration, "w") as file:
                file.write("# a comment\n\nvm-processes-max = 1\nlog-level = debug\n")
            mediator.send_signal(signal.SIGHUP)
            assert wait_until(lambda: os.path.exists(log)) and mediator.wait_log("The configuration was read again")
            beyond = device.open(1)
            assert beyond.kind == harness.FAILED and "limit of 1" in beyond.text
            with open(mediator.configuration, "w") as file:
                file.write("vm-processes-max = 1000\n")
            mediator.send_signal(signal.SIGHUP)
            assert mediator.wait_log(r'mediator.conf:1: "1000" is no value for vm-processes-max')
            assert mediator.wait_log("The configuration stays as it was")
            with open(mediator.configuration, "w") as file:
                file.write("vm-processes-max = 2\nmetrics = foo\n")
            mediator.send_signal(signal.SIGHUP)
            assert mediator.wait_log(r'mediator.conf:2: "foo" is no value for metrics')
            assert mediator.wait_log("The configuration stays as it was", count=2)
            device.close_channel(1)
            assert "limit of 1" in device.open(1).text
            device.ring()
            assert device.interrupted(), "a reload must not touch what runs"
    shutil.rmtree(folder)


def test_slow_calls_setting_reaches_running_programs():
    with Mediator(behaviour="settings") as mediator, Device(mediator.socket) as device:
        assert device.open(0).kind == harness.READY
        for number, (setting, expected) in enumerate((("", 1000), ("slow-call-ms = 0", 0), ("slow-call-ms = 7", 7))):
            with open(mediator.configuration, "w") as file:
                file.write(setting + "\n")
            mediator.send_signal(signal.SIGHUP)
            assert mediator.wait_log("The configuration was read again", count=number + 1)
            device.ring()
            assert mediator.wait_log(r"slow_call_ms=%d\b" % expected), mediator.log()


def test_bursts_setting_reaches_running_programs():
    with Mediator(behaviour="settings") as mediator, Device(mediator.socket) as device:
        assert device.open(0).kind == harness.READY
        for number, (setting, expected) in enumerate((("", "2 of 500 us, linger 100"), ("bursts = 5", "5 of 500 us, linger 100"),
                                                      ("burst = 250\nlinger = 9", "2 of 250 us, linger 9"))):
            with open(mediator.configuration, "w") as file:
                file.write(setting + "\n")
            mediator.send_signal(signal.SIGHUP)
            assert mediator.wait_log("The configuration was read again", count=number + 1)
            device.ring()
            assert mediator.wait_log("bursts=%s us" % expected), mediator.log()


def test_wrong_configuration_is_refused():
    for text, message in (("hearbeat = 3\n", 'unknown setting "hearbeat"'), ("heartbeat\n", "not of the form"),
                          ("heartbeat = -1\n", "is no value"), ("heartbeat = 99999999999999999999\n", "is no value"),
                          ("socket-mode = rw\n", "is no value"), ("log-level = loud\n", "one of error"),
                          ("metrics = foo\n", 'mediator.conf:1: "foo" is no value for metrics'),
                          ("heartbeat = x\n\nslice = 1\n", "mediator.conf:3: "),
                          ("tenant = %s\n" % ("x" * 5000), "a line has fewer than")):
        folder = tempfile.mkdtemp()
        with open(os.path.join(folder, "mediator.conf"), "w") as file:
            file.write(text)
        mediator = Mediator(folder=folder, wait=False)
        assert mediator.process.wait(harness.PATIENCE) == WRONG_SETTINGS, text
        assert message in mediator.log(), mediator.log()
        shutil.rmtree(folder)


def checked(text, *options, executor=None):
    """Exit code and words of --check with that file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mediator.conf")
        with open(path, "w") as file:
            file.write(text.replace("FOLDER", folder))
        done = subprocess.run([Mediator.program, "--config=" + path, "--executor=" + (executor or Mediator.executor),
                               "--check", *options], capture_output=True, text=True, timeout=60)
        assert sorted(os.listdir(folder)) == ["mediator.conf"], "--check makes nothing"
        assert done.stdout == ""
        return done.returncode, done.stderr


def test_check_of_the_configuration():
    code, words = checked("socket = FOLDER/mediator.sock\nlog = FOLDER/log\ndatabase = FOLDER/vgpu.db\n"
                          "metrics = 127.0.0.1:1\n")
    assert code == 0 and "The settings are right" in words, words
    # All that is wrong, each with its line; and what the command line has.
    code, words = checked("heartbeat = x\n# a comment\nmetrics = foo\ncolour = red\nslice\n", "--policy=luck")
    assert code == WRONG_SETTINGS and "are right" not in words
    for line in ('mediator.conf:1: "x" is no value for heartbeat', 'mediator.conf:3: "foo" is no value for metrics',
                 'mediator.conf:4: unknown setting "colour"', "mediator.conf:5: not of the form",
                 '--policy: "luck" is no value'):
        assert line in words, (line, words)
    # What is named and not there.
    code, words = checked("socket = /nowhere/a.sock\nlog = /nowhere/log\ndatabase = /nowhere/vgpu.db\n"
                          "worker = B=host:5555\nworker-credentials = /nowhere/pem\ndevice-user = no-such-user\n",
                          executor="/nowhere/cuda-executor")
    assert code == WRONG_SETTINGS, words
    for line in ("socket: /nowhere: No such file", "log: /nowhere: No such file", "database: /nowhere: No such file",
                 "worker-credentials: /nowhere/pem: No such file", "executor: /nowhere/cuda-executor: No such file",
                 'device-user: there is no user "no-such-user"'):
        assert line in words, (line, words)
    code, words = checked("executor-users-first = 10\nexecutor-cgroup = here\n")
    assert code == WRONG_SETTINGS and "are no users" in words and "executor-cgroup" in words, words
    code, words = checked("heartbeat = 5\nheartbeat = 6\n")
    assert code == 0 and "mediator.conf:2: heartbeat is in line 1 too" in words, words
    missing = subprocess.run([Mediator.program, "--check", "--config=/nowhere/mediator.conf"], capture_output=True,
                             text=True, timeout=60)
    assert missing.returncode == WRONG_SETTINGS and "/nowhere/mediator.conf: No such file" in missing.stderr
    # While a mediator runs it is left alone, and its socket stays.
    with Mediator() as mediator:
        done = subprocess.run([Mediator.program, "--check-configuration", "--config=" + mediator.configuration,
                               "--socket=" + mediator.socket, "--executor=" + Mediator.executor], timeout=60,
                              capture_output=True, text=True)
        assert done.returncode == 0, done
        with Device(mediator.socket) as device:
            assert device.open(0).kind == harness.READY


def test_restart_keeps_a_device():
    with Mediator("--keep=30") as first, Device(first.socket, vm_id=5) as device:
        assert device.open(0).kind == harness.READY
        device.ring()
        assert device.interrupted()
        first.stop(signal.SIGKILL)
        # Nobody is there, and it works.
        device.ring()
        assert device.interrupted()
        with Mediator("--keep=30", folder=first.folder) as second:
            assert second.wait_log("adopted 1 connections and 1 executors")
            device.ring()
            assert device.interrupted()
            # The device opens and closes channels as if nothing had been, and its identity is still taken.
            assert device.open(1).kind == harness.READY
            with Device(second.socket, vm_id=5) as other:
                assert other.reply.error == harness.ERROR_REFUSED
            assert device.close_channel(0).kind == harness.CLOSED
            assert device.close_channel(1).kind == harness.CLOSED
            assert device.open(0).kind == harness.READY
            second.stop(signal.SIGINT)
            assert device.is_closed()


def test_restart_at_once_keeps_a_device():
    """The keeper has not yet heard of the channel, nor of the first mediator's end, when the second one comes."""
    with Mediator("--keep=30") as first, Device(first.socket, vm_id=5) as device:
        # The driver's probe is over then.
        first.descriptors_at_rest(children=1)
        keeper, = first.children()
        os.kill(keeper, signal.SIGSTOP)
        try:
            assert device.open(0).kind == harness.READY
            first.stop(signal.SIGKILL)
            with Mediator("--keep=30", folder=first.folder, wait=False) as second:
                time.sleep(0.5)
                os.kill(keeper, signal.SIGCONT)
                assert second.wait_log("adopted 1 connections and 1 executors")
                device.ring()
                assert device.interrupted()
                second.stop(signal.SIGINT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(keeper, signal.SIGCONT)


if __name__ == "__main__":
    Mediator.program, Mediator.executor = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.exit(harness.run([test for name, test in list(globals().items()) if name.startswith("test_")]))
