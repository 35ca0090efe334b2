# SPDX-License-Identifier: Apache-2.0
"""Tenants' folders for the code that the driver compiles: test_cache.py MEDIATOR TEST_EXECUTOR"""

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

import harness
from harness import Device, Mediator, Peer, Skip, wait_until

OLD_SECONDS = 31 * 24 * 3600


@contextlib.contextmanager
def cache_directory():
    """A path for it that is not there yet, where any user gets to; and the executor, where any user can start it."""
    with tempfile.TemporaryDirectory(prefix="vgpu-cache-test-") as folder:
        os.chmod(folder, 0o755)
        yield os.path.join(folder, "cache"), shutil.copy(Mediator.executor, folder)


def executors(mediator):
    """The environments of the running executors, oldest first."""
    environments = []
    for pid in mediator.executors():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open("/proc/%d/environ" % pid, "rb") as file:
            entries = file.read().decode().split("\0")
            environments.append(dict(entry.split("=", 1) for entry in entries if entry))
    return environments


def cache_paths(mediator):
    return [environment.get("CUDA_CACHE_PATH") for environment in executors(mediator)]


def folder_is(path, user):
    status = os.lstat(path)
    return stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o700 and status.st_uid == user


def leftovers(directory):
    return [name for name in os.listdir(directory) if name.startswith(".removed-")]


def use_as(user, path):
    """What a driver does in its cache, as that user: make, rename, lock, remove. False where it may not."""
    child = os.fork()
    if child == 0:
        import fcntl
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            os.makedirs(path + "/1/a", exist_ok=True)
            with open(path + "/1/a/new", "w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write("code")
            os.rename(path + "/1/a/new", path + "/1/a/code")
            os.listdir(path)
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def client_start(mediator, name):
    program = Peer(mediator.socket)
    program.send(harness.client_hello(name=name))
    reply = program.receive()
    assert reply.error == harness.ERROR_NONE, reply.text
    reply = program.receive()
    assert reply.kind == harness.CLIENT_CHANNEL, reply.kind
    return program


def test_folder_of_each_tenant():
    with cache_directory() as (directory, _), Mediator("--compute-cache=" + directory) as mediator, \
            Device(mediator.socket, vm_id=1) as one, Device(mediator.socket, vm_id=2) as two:
        for device, channel in ((one, 0), (one, 1), (two, 0)):
            assert device.open(channel).kind == harness.READY
        assert sorted(cache_paths(mediator)) == [directory + "/vm-1"] * 2 + [directory + "/vm-2"]
        assert all(each["CUDA_CACHE_MAXSIZE"] == str(256 << 20) for each in executors(mediator))
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o711
        assert "surroundings: extra_fds=0" in mediator.log() and not re.search("extra_fds=[1-9]", mediator.log())
        user = int(re.search(r"surroundings: .* user=(\d+)", mediator.log()).group(1))
        for name in "vm-1", "vm-2":
            assert folder_is(os.path.join(directory, name), user), name
        # What is in it stays; what has become of its rights does not.
        open(directory + "/vm-2/code", "w").close()
        os.chmod(directory + "/vm-2", 0o777)
        assert two.open(1).kind == harness.READY
        assert folder_is(directory + "/vm-2", user) and os.path.exists(directory + "/vm-2/code")
        assert not leftovers(directory)


def test_sizes_and_inherited_variables():
    inherited = {"CUDA_CACHE_PATH": "/somewhere", "CUDA_CACHE_MAXSIZE": "5"}
    with cache_directory() as (directory, _), \
            Mediator("--compute-cache=" + directory, "--compute-cache-mib=4095",
                     "--executor-environment=CUDA_CACHE_MAXSIZE", environment=inherited) as mediator, \
            Device(mediator.socket) as device:
        assert device.open(0).kind == harness.READY
        environment, = executors(mediator)
        assert environment["CUDA_CACHE_PATH"] == directory + "/vm-1"
        assert environment["CUDA_CACHE_MAXSIZE"] == str(4095 << 20)
    with Mediator(environment=inherited) as mediator, Device(mediator.socket) as device:
        assert device.open(0).kind == harness.READY
        environment, = executors(mediator)
        assert environment["CUDA_CACHE_PATH"] == "/somewhere" and "CUDA_CACHE_MAXSIZE" not in environment
    with Mediator() as mediator, Device(mediator.socket) as device:
        assert device.open(0).kind == harness.READY
        environment, = executors(mediator)
        assert not [name for name in environment if name.startswith("CUDA_CACHE")]
    mediator = Mediator("--compute-cache=here", wait=False)
    assert mediator.process.wait(harness.PATIENCE) == 2
    assert 'compute-cache: "here" is no absolute path' in mediator.log()
    shutil.rmtree(mediator.folder)


def test_names_of_programs():
    names = {b"../../etc/passwd": "program-_2E_2E_2F_2E_2E_2Fetc_2Fpasswd", b".": "program-_2E",
             b"a:b": "program-a_3Ab", b"a_3Ab": "program-a_5F3Ab", b"?" * 63: "program-" + "_3F" * 63}
    with cache_directory() as (directory, _), \
            Mediator("--compute-cache=" + directory, "--tenant-per-program=yes") as mediator, \
            contextlib.ExitStack() as programs:
        for name in names:
            programs.enter_context(client_start(mediator, name))
        assert wait_until(lambda: len(executors(mediator)) == len(names))
        assert sorted(cache_paths(mediator)) == sorted(directory + "/" + name for name in names.values())
        assert sorted(os.listdir(directory)) == sorted(names.values())


def test_planted_link_and_file():
    with cache_directory() as (directory, _), Mediator("--compute-cache=" + directory) as mediator, \
            Device(mediator.socket, vm_id=1) as one, Device(mediator.socket, vm_id=2) as two:
        target = os.path.join(os.path.dirname(directory), "target")
        os.mkdir(target, 0o751)
        open(target + "/file", "w").close()
        os.symlink(target, directory + "/vm-1")
        open(directory + "/vm-2", "w").close()
        for device in one, two:
            assert device.open(0).kind == harness.READY
        user = int(re.search(r"surroundings: .* user=(\d+)", mediator.log()).group(1))
        for name in "vm-1", "vm-2":
            assert folder_is(os.path.join(directory, name), user), name
        assert wait_until(lambda: not leftovers(directory))
        assert os.listdir(target) == ["file"] and stat.S_IMODE(os.stat(target).st_mode) == 0o751


USERS_FIRST = 700000
USER_OPTIONS = ("--executor-user=nobody", "--executor-users-first=%d" % USERS_FIRST)


@contextlib.contextmanager
def device_that_ends(mediator, vm_id):
    """
    A VM with an executor, of which nothing is left when it is over: until then the VM is refused as being closed, and
    the executor's user is not free.
    """
    ended = mediator.log().count(": the executor ")
    descriptors = mediator.descriptors_at_rest()
    with Device(mediator.socket, vm_id=vm_id) as device:
        answer = device.open(0)
        assert answer.kind == harness.READY, answer.text
        yield device
    assert wait_until(lambda: mediator.log().count(": the executor ") > ended)
    assert wait_until(lambda: mediator.descriptors_at_rest() <= descriptors)


def start_and_end(mediator, vm_id):
    """A VM's executor starts and ends: its user, and the path of its cache."""
    with device_that_ends(mediator, vm_id):
        path, = cache_paths(mediator)
        user = re.findall(r"surroundings: .* user=(\d+)", mediator.log())[-1]
    return int(user), path


def test_folders_that_cannot_be_read():
    """Who has a folder is not known then: programs start all the same, as users who have none for certain."""
    if os.geteuid() != 0:
        raise Skip("needs root, to start executors as other users")
    with cache_directory() as (directory, executor), \
            Mediator("--compute-cache=" + directory, *USER_OPTIONS, "--executor-users-count=8",
                     executor=executor) as mediator:
        owners = {start_and_end(mediator, vm_id)[0] for vm_id in range(1, 7)}
        assert owners == set(range(USERS_FIRST, USERS_FIRST + 6)), owners
        os.chmod(directory, 0o777)
        for vm_id in 11, 12, 13, 1:
            user, path = start_and_end(mediator, vm_id)
            assert user in (USERS_FIRST + 6, USERS_FIRST + 7) and path is None, (vm_id, user, path)
        assert mediator.log().count("there is no compute cache") == 1, mediator.log()
        os.chmod(directory, 0o711)
        assert start_and_end(mediator, 1)[1] == directory + "/vm-1"
        assert len(os.listdir(directory)) == 6, os.listdir(directory)


def test_full_disk():
    """Nobody can lose his folder then, so who comes new has none and is nobody who has one."""
    if os.geteuid() != 0:
        raise Skip("needs root, to start executors as other users")
    with cache_directory() as (directory, executor), contextlib.ExitStack() as stack:
        os.mkdir(directory, 0o711)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=20,mode=711", "none", directory]).returncode:
            raise Skip("may not mount a file system")
        stack.callback(subprocess.run, ["umount", "-l", directory], check=True)
        mediator = stack.enter_context(Mediator("--compute-cache=" + directory, *USER_OPTIONS,
                                                "--executor-users-count=4", executor=executor))
        for vm_id in 1, 2, 3, 4:
            assert start_and_end(mediator, vm_id)[1] == directory + "/vm-%d" % vm_id
        assert wait_until(lambda: not leftovers(directory))
        folders = sorted(os.listdir(directory))
        with contextlib.suppress(OSError):
            for number in range(20):
                open(directory + "/filler-%d" % number, "w").close()
        for vm_id in 5, 6:
            assert start_and_end(mediator, vm_id) == (USERS_FIRST + 3, None)
        assert mediator.log().count("No space left on device: there is no compute cache") == 1, mediator.log()
        assert sorted(name for name in os.listdir(directory) if name.startswith("vm-")) == folders


def test_folder_of_who_is_to_have_none():
    """An earlier mediator, with another range, has given it to him."""
    if os.geteuid() != 0:
        raise Skip("needs root, to start executors as other users")
    with cache_directory() as (directory, executor):
        os.makedirs(directory + "/vm-1")
        os.makedirs(directory + "/vm-2")
        os.chown(directory + "/vm-1", USERS_FIRST + 3, 0)
        os.chown(directory + "/vm-2", USERS_FIRST + 2, 0)
        os.chmod(directory, 0o711)
        settings = os.path.join(os.path.dirname(directory), "settings")
        with open(settings, "w") as file:
            file.write("executor-users-count = 4\n")
        with Mediator("--compute-cache=" + directory, *USER_OPTIONS, "--config=" + settings,
                      executor=executor) as mediator:
            assert wait_until(lambda: os.listdir(directory) == ["vm-2"])
            with open(settings, "w") as file:
                file.write("executor-users-count = 3\n")
            mediator.send_signal(signal.SIGHUP)
            assert wait_until(lambda: not os.listdir(directory))


def test_user_stays_with_the_folder():
    """A tenant that comes back gets its user again, and a user that has to be another's leaves nothing to it."""
    if os.geteuid() != 0:
        raise Skip("needs root, to start executors as other users")
    with cache_directory() as (directory, executor):
        options = ("--compute-cache=" + directory, *USER_OPTIONS, "--executor-users-count=3")

        def start(mediator, vm_id):
            with device_that_ends(mediator, vm_id):
                path, = cache_paths(mediator)
                user = os.stat(path).st_uid
                assert folder_is(path, user) and use_as(user, path)
            return user

        with Mediator(*options, executor=executor) as mediator:
            first = start(mediator, 1)
            second = start(mediator, 2)
            assert {first, second} == {700000, 700001}
            assert not use_as(second, directory + "/vm-1") and not use_as(first, directory + "/vm-2")
            for _ in range(2):
                assert start(mediator, 1) == first
        with Mediator(*options, executor=executor) as mediator:
            assert start(mediator, 1) == first
            assert os.path.exists(directory + "/vm-1/1/a/code")
            # Nobody is without a folder: one of the two loses his.
            third = start(mediator, 3)
            lost, kept = ("vm-1", "vm-2") if third == first else ("vm-2", "vm-1")
            assert not os.path.exists(os.path.join(directory, lost))
            assert os.path.exists(os.path.join(directory, kept, "1/a/code"))
            assert wait_until(lambda: not leftovers(directory))
        # The folder is of a user who is none of its tenant's by now.
        with Mediator(*options[:2], executor=executor) as mediator:
            assert start(mediator, 3) == 65534
            assert wait_until(lambda: not leftovers(directory))


def test_directory_that_cannot_be_used():
    with cache_directory() as (directory, _):
        os.mkdir(directory)
        os.chmod(directory, 0o777)
        blocked = os.path.join(directory, "file")
        open(blocked, "w").close()
        for path in directory, blocked, os.path.join(blocked, "below"):
            with Mediator("--compute-cache=" + path) as mediator, Device(mediator.socket) as device:
                for channel in 0, 1:
                    assert device.open(channel).kind == harness.READY
                assert cache_paths(mediator) == [None, None]
                assert mediator.log().count("there is no compute cache") == 1, mediator.log()
        assert os.listdir(directory) == ["file"]


def test_numbers_that_are_given_again():
    """A VM without a number of its own would find what another one has left."""
    with cache_directory() as (directory, _), \
            Mediator("--compute-cache=" + directory, "--vm-id-automatic=yes") as mediator, \
            Device(mediator.socket, vm_id=0) as unnamed, Device(mediator.socket, vm_id=5) as named:
        for device in unnamed, named:
            assert device.open(0).kind == harness.READY
        assert wait_until(lambda: len(executors(mediator)) == 2)
        assert sorted(cache_paths(mediator), key=str) == sorted([None, directory + "/vm-5"], key=str)


def test_old_folders_are_removed():
    with cache_directory() as (directory, _):
        # vm-7 has a program that goes on.
        for name in "vm-1", "vm-2", "vm-7", "user-9/deep/er", ".removed-0123/vm-3", "lost+found":
            os.makedirs(os.path.join(directory, name))
        os.chmod(directory, 0o711)
        target = os.path.join(os.path.dirname(directory), "target")
        open(target, "w").close()
        os.symlink(target, directory + "/user-9/deep/link")
        now = time.time()
        with Mediator("--keep=30", "--compute-cache=" + directory) as first, \
                Device(first.socket, vm_id=7) as device:
            assert device.open(0).kind == harness.READY
            first.stop(signal.SIGKILL)
            # The first one has looked through it before.
            os.makedirs(directory + "/.removed-4567/vm-4")
            for name in "vm-1", "vm-7", "user-9", "lost+found":
                os.utime(os.path.join(directory, name), (now, now - OLD_SECONDS))
            os.utime(directory + "/vm-2", (now, now - 29 * 24 * 3600))
            with Mediator("--keep=30", "--compute-cache=" + directory, folder=first.folder) as second:
                assert second.wait_log("adopted 1 connections and 1 executors")
                assert wait_until(lambda: sorted(os.listdir(directory)) == ["lost+found", "vm-2", "vm-7"])
                device.ring()
                assert device.interrupted()
                # Used again: not old any more.
                assert device.open(1).kind == harness.READY
                assert time.time() - os.stat(directory + "/vm-7").st_mtime < OLD_SECONDS / 2
                second.stop(signal.SIGINT)
        assert os.path.exists(target)


if __name__ == "__main__":
    Mediator.program, Mediator.executor = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.exit(harness.run([test for name, test in list(globals().items()) if name.startswith("test_")]))
