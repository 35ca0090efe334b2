# SPDX-License-Identifier: Apache-2.0
"""Settings, and what is wrong with them: test_configuration.py MEDIATOR TEST_EXECUTOR"""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile

import harness
from harness import WRONG_SETTINGS, Device, Mediator, Peer, Skip


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


if __name__ == "__main__":
    Mediator.program, Mediator.executor = (os.path.abspath(path) for path in sys.argv[1:3])
    sys.exit(harness.run([test for name, test in list(globals().items()) if name.startswith("test_")]))
