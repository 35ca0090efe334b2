# SPDX-License-Identifier: Apache-2.0
"""What the tests of the device share: the guests, the mediator of the moment, and how to wait for things."""
import os
import subprocess
import sys
import time
import traceback

import guest as vm
import mediator_stand_in as stand_in

UUID = "11223344-5566-7788-99aa-bbccddeeff00"
DEVICE_LINE = 'name "vgpu-cuda", bus PCI, desc "Virtual GPU (MMIO + BAR1 + CUDA Remoting)"'
CHANNELS = 32
CHANNEL_BYTES = 64 << 20
GUESTS = {
    "main": {"vm_id": 1, "uuid": UUID, "pool_id": "B", "priority": "high"},
    # Its root may map the registers although the driver has them, and it comes back after a reset.
    "fuzz": {"vm_id": 2, "reboot": True, "extra_kernel": "iomem=relaxed"},
    # Behind a bridge, where it can be unplugged while a processor uses its registers.
    "trace": {"vm_id": 3, "trace": True, "channels": 4, "channel_bytes": 2 << 20, "bus": "root-port", "cpus": 2,
              "extra_kernel": "iomem=relaxed", "extra_qemu": ["-device", "pcie-root-port,id=root-port,chassis=1"]},
}


def equal(got, wanted, what=""):
    if got != wanted:
        raise AssertionError("%s: got %r, wanted %r" % (what, got, wanted))


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def eventually(function, what, timeout=240):
    """The first true value of function()."""
    end = time.monotonic() + timeout
    while True:
        value = function()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %d s: %s" % (timeout, what))
        time.sleep(0.05)


class Lab:
    """What the tests share: the image, the guests that were booted so far, the mediator of the moment."""

    def __init__(self, folder):
        self.folder = folder
        self.probe = os.path.join(folder, "vgpu_probe")
        subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-static",
                        "-I" + vm.script("protocol"), "-o", self.probe, vm.script("tests/vm/vgpu_probe.c"),
                        vm.script("tests/vm/vgpu_probe_registers.c")], check=True, timeout=240)
        self.image = vm.build_image([self.probe])
        self.object = vm.build_device()
        self.socket = os.path.join(folder, "mediator.sock")
        self.mediator = None
        self.guests = {}

    def boot(self, name):
        if name not in self.guests:
            guest = vm.Guest(image=self.image, socket=self.socket, name=name, **GUESTS[name])
            self.guests[name] = guest
            guest.start()
        return self.guests[name]

    def main(self):
        return self.boot("main")

    def device(self, guest):
        """The stand-in's side of a guest, connected."""
        number = guest.vm_id
        return eventually(lambda: next((device for device in self.mediator.devices if device.vm_id == number), None),
                          "connection of VM %d" % number)

    def ready(self, guest):
        """The mediator, running, with default behaviour and the guest connected."""
        if self.mediator is None:
            self.mediator = stand_in.MediatorStandIn(self.socket)
        self.mediator.refuse_hello = False
        self.mediator.open_answer = "ready"
        self.mediator.answer_close = True
        self.device(guest)
        eventually(lambda: self._channel_comes_and_goes(guest), "an open that succeeds")
        self.mediator.forget()
        return self.mediator

    def _channel_comes_and_goes(self, guest):
        """Whether one could be opened; it is closed when this returns, also to the mediator."""
        self.mediator.forget()
        if guest.run("vgpu_probe info").status != 0:
            return False
        _, *opened = self.mediator.wait("open")
        return eventually(lambda: ("close", *opened) in self.mediator.events, "the close of that channel")

    def mediator_stop(self):
        if self.mediator:
            self.mediator.close()
            self.mediator = None

    def close(self):
        for guest in self.guests.values():
            guest.stop()
        self.mediator_stop()


def probe(guest, arguments, timeout=240):
    return guest.check("vgpu_probe " + arguments, timeout).output


def probe_start(guest, arguments, said):
    """Starts a probe in the background and waits until it has said that; its process id."""
    guest.check("vgpu_probe %s >/tmp/probe.log 2>&1 & echo $! >/tmp/probe.pid; "
                "while ! grep -q '%s' /tmp/probe.log; do [ -d /proc/$! ] || { cat /tmp/probe.log; exit 1; }; "
                "usleep 20000; done" % (arguments, said))
    return int(guest.get("/tmp/probe.pid"))


def probe_end(guest):
    """Waits for that probe; what it said. It says FAILED when something was wrong."""
    guest.check("while [ -d /proc/$(cat /tmp/probe.pid) ]; do usleep 20000; done", timeout=240)
    said = guest.get("/tmp/probe.log").decode()
    holds("FAILED" not in said, said)
    return said


def qemu_run(lab, *arguments):
    environment = dict(os.environ, VGPU_QEMU_OBJECT=lab.object)
    return subprocess.run([vm.script("host/qemu/vgpu-qemu"), "-machine", "q35", "-display", "none", *arguments],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=120)


def trace_plug(lab, guest):
    """Gives that guest its device again."""
    guest.qmp("device_add", driver="vgpu-cuda", id="vgpu", bus="root-port", vm_id=3, socket=lab.socket, channels=4,
              channel_bytes=2 << 20)
    eventually(lambda: guest.run("[ -c /dev/vgpu0 ]").status == 0, "the driver finds the new device")
    lab.ready(guest)


def test_run(function, lab, number):
    """True: it has passed; prints what TAP says of it."""
    start = time.monotonic()
    try:
        function(lab)
    except Exception:
        print("not ok %d - %s" % (number, function.__name__.replace("_", " ")))
        for line in traceback.format_exc().splitlines()[-12:]:
            print("# " + line)
        for name, guest in lab.guests.items():
            for line in guest.qemu_output().splitlines()[-5:]:
                print("# %s: %s" % (name, line))
        passed = False
    else:
        print("ok %d - %s # %.1f s" % (number, function.__name__.replace("_", " "), time.monotonic() - start))
        passed = True
    sys.stdout.flush()
    return passed
