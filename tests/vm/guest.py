# SPDX-License-Identifier: Apache-2.0
"""Virtual machines with the device vgpu-cuda, for tests and the demonstration.

    image = build_image(["build/vectorAdd", "build/libcuda.so.1:/lib/libcuda.so.1"])
    with Guest(vm_id=1, image=image, name="red", socket="/tmp/mediator.sock") as guest:
        print(guest.check("vectorAdd").output)

KVM is used only where a guest really runs on it, else TCG.  Each guest has a folder
(guest.folder) with console.log (its serial console) and qemu.log (what QEMU said); it is removed at
the end unless keep=True.  Standard library only.

Run as a program, it boots one guest: guest.py [--file FILE[:PLACE]]... [--socket PATH] COMMAND...
"""
import argparse
import collections
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import socket as sockets
import struct
import subprocess
import sys
import tempfile
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.environ.get("VGPU_CACHE") or os.path.join(REPOSITORY, ".cache")

AGENT_MAGIC = 0x544E4741
AGENT_HELLO, AGENT_RUN, AGENT_PUT, AGENT_GET, AGENT_OUTPUT, AGENT_DONE = range(6)
AGENT_HEADER = struct.Struct("<IIII")

BANNER = b"VGPU GUEST UP"
KVM_GET_API_VERSION = 0xAE00
KVM_TRIAL_SECONDS = 5
PR_SET_PDEATHSIG = 1

Result = collections.namedtuple("Result", "status output")


class GuestError(Exception):
    pass


def script(*parts):
    return os.path.join(REPOSITORY, *parts)


def run_script(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=600)
    if done.returncode != 0:
        raise GuestError("%s failed" % os.path.basename(command[0]))
    return done.stdout.strip().splitlines()[-1]


def build_image(files=(), cache=CACHE):
    """The initial file system with these files (FILE[:PLACE]) in it; its path."""
    return run_script([script("guest/image/make-image.sh"), cache, *files])


def build_device(cache=CACHE):
    """vgpu-cuda.so for the installed QEMU; its path."""
    return run_script([script("host/qemu/build-preload.sh"), os.path.join(cache, "qemu")])


def _end_with_parent():
    # However this process ends, its guests end with it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _qemu_command(accelerator, image, cache, memory_mib, cpus, console, extra_kernel):
    return [
        "-nodefaults", "-display", "none", "-no-user-config",
        "-machine", "q35,accel=%s" % accelerator, "-cpu", "host" if accelerator == "kvm" else "max",
        "-m", str(memory_mib), "-smp", str(cpus),
        "-kernel", os.path.join(cache, "kernel", "vmlinuz"), "-initrd", image,
        # A busy machine may starve the emulated timer just while the kernel tests it, and processors for so long that it
        # takes them to be locked up.
        "-append", "console=ttyS0 quiet panic=-1 mitigations=off nokaslr no_timer_check random.trust_cpu=on "
                   "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=180 rdinit=/init "
                   + extra_kernel,
        "-serial", "file:%s" % console,
    ]


def _kvm_works(image, cache):
    """Whether a guest really starts: a /dev/kvm that opens is not enough on a nested machine."""
    try:
        with open("/dev/kvm", "rb+", buffering=0) as kvm:
            if fcntl.ioctl(kvm, KVM_GET_API_VERSION) != 12:
                return False
    except OSError:
        return False
    with tempfile.TemporaryDirectory() as folder:
        console = os.path.join(folder, "console.log")
        qemu = subprocess.Popen(["qemu-system-x86_64", *_qemu_command("kvm", image, cache, 512, 1, console, "")],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                preexec_fn=_end_with_parent)
        try:
            end = time.monotonic() + KVM_TRIAL_SECONDS
            while time.monotonic() < end and qemu.poll() is None:
                if os.path.exists(console) and BANNER in open(console, "rb").read():
                    return True
                time.sleep(0.05)
            return False
        finally:
            qemu.kill()
            qemu.wait()


def accelerator(image, cache=CACHE):
    """"kvm" or "tcg", found out once for each start of this machine."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    record = os.path.join(cache, "accelerator")
    try:
        with open(record) as file:
            known_boot, known = file.read().split()
        if known_boot == boot:
            return known
    except (OSError, ValueError):
        pass
    found = "kvm" if _kvm_works(image, cache) else "tcg"
    with open(record, "w") as file:
        file.write("%s %s\n" % (boot, found))
    return found


class Guest:
    """One guest. Use as a context manager: QEMU is running inside, gone afterwards."""

    def __init__(self, vm_id, image, socket=None, name=None, uuid=None, pool_id="A", priority="medium",
                 channels=None, channel_bytes=None, trace=False, memory_mib=512, cpus=1, device=True,
                 bus=None, reboot=False, extra_qemu=(), extra_kernel="", keep=False, cache=CACHE):
        self.vm_id = vm_id
        self.accelerator = accelerator(image, cache)
        self._environment = dict(os.environ, VGPU_QEMU_OBJECT=build_device(cache))
        self.folder = tempfile.mkdtemp(prefix="vgpu-guest-%d-" % vm_id)
        self.console_log = os.path.join(self.folder, "console.log")
        self.qemu_log = os.path.join(self.folder, "qemu.log")
        self.keep = keep
        self.image = image
        self.qemu = None
        self._agent = None
        self._agent_path = os.path.join(self.folder, "agent.sock")
        self._qmp_path = os.path.join(self.folder, "qmp.sock")
        self._command = [script("host/qemu/vgpu-qemu"), *_qemu_command(
            self.accelerator, image, cache, memory_mib, cpus, self.console_log, extra_kernel)]
        self._command += ["-device", "virtio-serial-pci", "-chardev",
                          "socket,id=agent,path=%s,server=on,wait=off" % self._agent_path,
                          "-device", "virtserialport,chardev=agent,name=vgpu.agent",
                          "-qmp", "unix:%s,server=on,wait=off" % self._qmp_path]
        if not reboot:
            self._command += ["-no-reboot"]
        self._command += extra_qemu
        if name:
            self._command += ["-name", name]
        if uuid:
            self._command += ["-uuid", uuid]
        if device:
            options = ["vgpu-cuda", "id=vgpu", "vm_id=%d" % vm_id, "pool_id=" + pool_id, "priority=" + priority]
            options += ["socket=" + socket] if socket else []
            options += ["channels=%d" % channels] if channels else []
            options += ["channel_bytes=%d" % channel_bytes] if channel_bytes else []
            options += ["trace=on"] if trace else []
            options += ["bus=" + bus] if bus else []
            self._command += ["-device", ",".join(options)]

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, timeout=180):
        """Starts QEMU and waits until the guest takes commands. QEMU ends with the thread that calls this."""
        with open(self.qemu_log, "ab") as log:
            self.qemu = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         env=self._environment, preexec_fn=_end_with_parent)
        end = time.monotonic() + timeout
        while self._agent is None:
            agent = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
            try:
                agent.connect(self._agent_path)
                self._agent = agent
            except OSError:
                agent.close()
                self._running_check(end)
                time.sleep(0.02)
        self._expect(AGENT_HELLO, end)

    def stop(self):
        if self._agent:
            self._agent.close()
            self._agent = None
        if self.qemu:
            self.qemu.kill()
            self.qemu.wait()
            self.qemu = None
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, command, timeout=240):
        """Runs a shell command in the guest: its exit status (124: timeout) and what it printed."""
        self._send(AGENT_RUN, struct.pack("<I", int(timeout * 1000)) + command.encode())
        status, output = self._reply(time.monotonic() + timeout + 20)
        return Result(status, output.decode(errors="replace"))

    def check(self, command, timeout=240):
        """As run(), but anything other than exit status 0 is an error."""
        result = self.run(command, timeout)
        if result.status != 0:
            raise GuestError("in the guest, '%s' ended with %d:\n%s" % (command, result.status, result.output))
        return result

    def put(self, path, content, mode=0o644, timeout=240):
        name = path.encode()
        self._send(AGENT_PUT, struct.pack("<II", mode, len(name)) + name + content)
        status, _ = self._reply(time.monotonic() + timeout)
        if status != 0:
            raise OSError(status, os.strerror(status), path)

    def get(self, path, timeout=240):
        self._send(AGENT_GET, path.encode())
        status, content = self._reply(time.monotonic() + timeout)
        if status != 0:
            raise OSError(status, os.strerror(status), path)
        return content

    def rebooted(self, timeout=180):
        """Waits until the guest, which has been told to reboot, takes commands again."""
        self._expect(AGENT_HELLO, time.monotonic() + timeout)

    def qmp(self, command, **arguments):
        """One command to QEMU's monitor; what it returned."""
        with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as monitor:
            monitor.settimeout(20)
            monitor.connect(self._qmp_path)
            lines = monitor.makefile("rw")
            lines.readline()
            for execute, parameters in ("qmp_capabilities", {}), (command, arguments):
                lines.write(json.dumps({"execute": execute, "arguments": parameters}) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
                while "event" in answer:
                    answer = json.loads(lines.readline())
                if "error" in answer:
                    raise GuestError("QEMU refused %s: %s" % (execute, answer["error"]["desc"]))
            return answer["return"]

    def console(self):
        return self._log(self.console_log)

    def qemu_output(self):
        return self._log(self.qemu_log)

    @staticmethod
    def _log(path):
        try:
            with open(path, errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def _running_check(self, end):
        if self.qemu.poll() is not None:
            raise GuestError("QEMU ended with %d:\n%s%s" % (self.qemu.returncode, self.qemu_output(),
                                                          self.console()[-3000:]))
        if time.monotonic() > end:
            raise GuestError("the guest does not answer:\n%s%s" % (self.qemu_output()[-2000:],
                                                                   self.console()[-3000:]))

    def _send(self, kind, body):
        self._agent.settimeout(60)
        self._agent.sendall(AGENT_HEADER.pack(AGENT_MAGIC, kind, 0, len(body)) + body)

    def _read(self, size, end):
        parts = []
        while size > 0:
            readable, _, _ = select.select([self._agent], [], [], 0.2)
            if not readable:
                self._running_check(end)
                continue
            part = self._agent.recv(min(size, 1 << 20))
            if not part:
                self.qemu.wait(timeout=5)
                self._running_check(end)
                raise GuestError("QEMU closed the agent's port")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _message(self, end):
        magic, kind, status, size = AGENT_HEADER.unpack(self._read(AGENT_HEADER.size, end))
        if magic != AGENT_MAGIC:
            raise GuestError("out of step with the guest's agent")
        return kind, status, self._read(size, end)

    def _expect(self, wanted, end):
        kind, status, body = self._message(end)
        if kind != wanted:
            raise GuestError("the guest's agent sent %d instead of %d" % (kind, wanted))
        return status, body

    def _reply(self, end):
        output = []
        while True:
            kind, status, body = self._message(end)
            if kind == AGENT_DONE:
                return status, b"".join(output)
            if kind != AGENT_OUTPUT:
                raise GuestError("the guest's agent sent %d" % kind)
            output.append(body)


def main():
    parser = argparse.ArgumentParser(description="boots one guest and runs commands in it")
    parser.add_argument("--file", action="append", default=[], metavar="FILE[:PLACE]")
    parser.add_argument("--socket")
    parser.add_argument("--vm-id", type=int, default=1)
    parser.add_argument("--name")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    image = build_image(arguments.file)
    status = 0
    with Guest(vm_id=arguments.vm_id, image=image, socket=arguments.socket, name=arguments.name,
               trace=arguments.trace) as guest:
        for command in arguments.command:
            result = guest.run(command, arguments.timeout)
            sys.stdout.write(result.output)
            status = status or result.status
        sys.stderr.write(guest.qemu_output())
    return status


if __name__ == "__main__":
    sys.exit(main())
