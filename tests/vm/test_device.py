#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the PCI device and the guest driver with real guests and without CUDA. Prints TAP.

test_device.py [NAME...] runs all tests, or those whose names contain one of the words.
"""
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading

import guest as vm
import mediator_stand_in as stand_in
from device_lab import (CHANNEL_BYTES, CHANNELS, DEVICE_LINE, UUID, Lab, equal, eventually, holds, probe, probe_end,
                        probe_start, qemu_run, test_run, trace_plug)

sys.path.append(vm.script("tests/end_to_end"))
import impostor

CUDA_ERROR_LAUNCH_TIMEOUT = 702
# In a device's and a bridge's configuration space, and addresses of the machine q35.
FIRST_BAR = 0x10
BRIDGE_MEMORY = 0x20
LAST_PCI_ADDRESS = 0xfeb00000
OUTSIDE_THE_BRIDGE = 0xfd000000
TESTS = []


def test(function):
    TESTS.append(function)
    return function


@test
def stock_qemu_lists_the_device(lab):
    lines = [line for line in qemu_run(lab, "-device", "help").stdout.splitlines() if "vgpu" in line.lower()]
    equal(lines, [DEVICE_LINE])
    listed = qemu_run(lab, "-device", "vgpu-cuda,help").stdout
    for name in "pool_id", "priority", "vm_id", "socket", "channels", "channel_bytes", "trace":
        holds(re.search(r"^ *%s=<" % name, listed, re.M), "property %s in\n%s" % (name, listed))


@test
def wrong_properties_are_refused(lab):
    for wrong in ("vm_id=1,pool_id=AB", "vm_id=1,pool_id=a", "vm_id=1,priority=urgent",
                  "vm_id=1,channels=0", "vm_id=1,channels=65", "vm_id=1,channel_bytes=0", "vm_id=1,channel_bytes=4097",
                  "vm_id=1,channel_bytes=4G", "vm_id=1,socket=/" + "x" * 200):
        done = qemu_run(lab, "-device", "vgpu-cuda," + wrong)
        holds(done.returncode == 1 and "vgpu-cuda" in done.stderr, "%s: %d %s" % (wrong, done.returncode, done.stderr))


@test
def the_object_refuses_other_programs(lab):
    done = subprocess.run(["/bin/true"], env={"LD_PRELOAD": lab.object}, capture_output=True, text=True)
    holds(done.returncode != 0 and "vgpu-cuda.so" in done.stderr, done.stderr)


@test
def another_users_mediator_is_none(lab):
    program = [vm.script("host/qemu/vgpu-qemu"), "-machine", "q35", "-display", "none", "-nodefaults", "-S", "-device",
               "vgpu-cuda,vm_id=1"]
    environment = dict(os.environ, VGPU_QEMU_OBJECT=lab.object)
    if os.geteuid() != 0 or not impostor.is_possible(lab.object, *program[:1]):
        return
    output, types = impostor.heard(65534, program, environment)
    equal(types, [], output)
    holds("no mediator at" in output and "Operation not permitted" in output, output)
    output, types = impostor.heard(0, program, environment)
    equal(types, [1], output)


@test
def no_mediator_at_boot(lab):
    # A stale socket: the file is there, nobody listens.
    stale = stand_in.socket.socket(stand_in.socket.AF_UNIX, stand_in.socket.SOCK_SEQPACKET)
    stale.bind(lab.socket)
    stale.close()
    guest = lab.main()
    probe(guest, "no-device")
    holds("no mediator at " + lab.socket in guest.qemu_output(), guest.qemu_output())
    equal(guest.qemu_output().count("no mediator"), 1, "the reason is logged once")


@test
def mediator_comes_later(lab):
    guest = lab.main()
    mediator = lab.mediator = stand_in.MediatorStandIn(lab.socket)
    hello = mediator.wait("hello")
    equal(hello, ("hello", 1, "B", 2, CHANNELS, CHANNEL_BYTES, bytes.fromhex(UUID.replace("-", "")), "main"))
    holds("vm_id 1 " in probe(guest, "info"), "vm_id")
    probe(guest, "echo 1000")


@test
def lspci_shows_a_3d_controller(lab):
    shown = lab.main().check("lspci -d 1af4:10f5; lspci -nkd 1af4:10f5").output
    holds("3D controller" in shown and "0302" in shown and "Kernel driver in use: vgpu" in shown, shown)


@test
def ordinary_users_may_use_it(lab):
    guest = lab.main()
    lab.ready(guest)
    shown = guest.check("su user -c 'vgpu_probe info && vgpu_probe echo 10'").output
    holds("uid 1000" in shown, shown)


@test
def memory_is_mapped_write_back(lab):
    guest = lab.main()
    lab.ready(guest)
    probe_start(guest, "spin", "spinning")
    start = int(guest.check("cut -d' ' -f1 /sys/bus/pci/drivers/vgpu/0*/resource").output.split()[1], 16)

    def flags():
        """Of each page of the memory in the page tables of the moment: the processor's bits as QEMU writes them."""
        table = guest.qmp("human-monitor-command", **{"command-line": "info tlb"})
        pages = re.findall(r"^[0-9a-f]{16}: ([0-9a-f]{16}) (\S+)\s*$", table, re.M)
        return {bits for address, bits in pages if start <= int(address, 16) < start + CHANNEL_BYTES}
    found = eventually(flags, "the process runs")
    guest.check("kill -9 $(cat /tmp/probe.pid)")
    # Neither cache-disable nor write-through, nor the bit that chooses among the other types.
    holds(not re.search("[CTP]", "".join(found)), "%x: %s" % (start, found))


@test
def mappings_taken_away_in_parts_leave_nothing(lab):
    guest = lab.main()
    lab.ready(guest)
    types = "mkdir -p /tmp/debug; mount -t debugfs debug /tmp/debug; wc -l </tmp/debug/x86/pat_memtype_list; " \
            "umount /tmp/debug; dmesg | grep -c 'invalid memtype' || true"
    before = guest.check(types).output
    guest.check("su user -c 'vgpu_probe parts 300'")
    equal(guest.check(types).output, before, "memory types, and complaints about them")


@test
def driver_refuses_what_it_must(lab):
    guest = lab.main()
    lab.ready(guest)
    probe(guest, "limits")


@test
def all_channels_taken(lab):
    guest = lab.main()
    lab.ready(guest)
    equal(probe(guest, "exhaust"), "opened %d then EBUSY\n" % CHANNELS)


@test
def memory_of_a_closed_channel_is_zero(lab):
    guest = lab.main()
    mediator = lab.ready(guest)
    for _ in range(2):
        probe(guest, "zero %d" % CHANNELS)
    holds(mediator.wait("close", 2 * CHANNELS), "all were closed")
    equal(os.fstat(lab.device(guest).memory_fd).st_blocks, 0, "pages still held on the host")


@test
def sigkill_closes_the_channel(lab):
    guest = lab.main()
    mediator = lab.ready(guest)
    process = probe_start(guest, "hold", "holding")
    equal(mediator.count("close"), 0, "closed too early")
    guest.check("kill -9 %d" % process)
    _, number, index, generation = mediator.wait("close") or (None,) * 4
    _, *opened = mediator.wait("open")
    equal([number, index, generation], opened, "the channel that was opened")
    probe(guest, "zero 4")


@test
def open_is_refused(lab):
    guest = lab.main()
    mediator = lab.ready(guest)
    mediator.open_answer = "fail"
    probe(guest, "refused")
    holds("error 4: no driver, says the test" in guest.qemu_output(), guest.qemu_output())
    holds("error 4" in guest.check("dmesg | tail -5").output, "the reason in the kernel log")
    holds(mediator.wait("close"), "a failed channel is closed too")
    mediator.open_answer = "refuse"
    probe(guest, "not-permitted")
    holds("error 3: quarantined, says the test" in guest.qemu_output(), guest.qemu_output())
    mediator.open_answer = "ready"
    # What an executor that failed had written is not there any more.
    probe(guest, "zero %d" % CHANNELS)


@test
def killed_while_opening(lab):
    guest = lab.main()
    mediator = lab.ready(guest)
    mediator.open_answer = "silent"
    guest.check("vgpu_probe info & echo $! >/tmp/probe.pid")
    _, _, index, generation = mediator.wait("open")
    guest.check("kill -9 $(cat /tmp/probe.pid)")
    equal(mediator.wait("close"), ("close", 1, index, generation))
    mediator.open_answer = "ready"
    probe(guest, "zero %d" % CHANNELS)


@test
def executor_lost(lab):
    guest = lab.main()
    mediator = lab.ready(guest)
    for arguments, said in ("lost", "waiting"), ("lost-read", "reading"):
        probe_start(guest, arguments, said)
        mediator.lose(lab.device(guest), mediator.wait("open")[2])
        said = probe_end(guest)
        holds("lost, error 6" in said or arguments == "lost-read", said)
        holds(mediator.wait("close"), "the lost channel is closed")
        mediator.forget()
    probe(guest, "zero %d" % CHANNELS)


@test
def kernel_timeout_is_told(lab):
    """The device writes what the guest's library is to say into the channel, for the mediator touches no guest's
    memory."""
    guest = lab.main()
    mediator = lab.ready(guest)
    mediator.answer_close = False
    probe_start(guest, "lost", "waiting")
    device, index = lab.device(guest), mediator.wait("open")[2]
    mediator.lose(device, index, stand_in.KERNEL_TIMEOUT)
    said = probe_end(guest)
    holds("lost, error %d" % stand_in.KERNEL_TIMEOUT in said, said)
    holds(mediator.wait("close"), "the lost channel is closed")
    header = device.memory[index * device.channel_bytes:index * device.channel_bytes + 4096]
    holds(struct.pack("<I", CUDA_ERROR_LAUNCH_TIMEOUT) in header, "the header says it")
    lab.mediator_stop()
    lab.ready(guest)
    probe(guest, "zero %d" % CHANNELS)


@test
def mediator_lost_and_back(lab):
    guest = lab.main()
    lab.ready(guest)
    probe_start(guest, "lost", "waiting")
    lab.mediator_stop()
    holds("lost, error 8" in probe_end(guest), "MEDIATOR_LOST")
    probe(guest, "no-device")
    lab.ready(guest)
    probe(guest, "echo 100")
    probe(guest, "zero %d" % CHANNELS)


@test
def mediator_lost_while_closing(lab):
    guest = lab.main()
    mediator = lab.ready(guest)
    mediator.answer_close = False
    process = probe_start(guest, "hold", "holding")
    guest.check("kill -9 %d" % process)
    holds(mediator.wait("close"), "close was sent")
    lab.mediator_stop()
    lab.ready(guest)
    probe(guest, "zero %d" % CHANNELS)


@test
def mediator_refuses_the_vm(lab):
    guest = lab.main()
    mediator = lab.ready(guest)
    mediator.refuse_hello = True
    mediator.drop(lab.device(guest))
    holds(mediator.wait("hello"), "hello again")
    probe(guest, "no-device")
    eventually(lambda: "refused this VM, error 3: by the test" in guest.qemu_output(), "the reason in QEMU's log")
    lab.ready(guest)
    probe(guest, "echo 10")


@test
def mediator_talks_nonsense(lab):
    guest = lab.main()
    mediator = lab.ready(guest)
    mediator.open_answer = "garbage"
    probe(guest, "no-device")
    eventually(lambda: "sent something unexpected" in guest.qemu_output(), "QEMU's log says so")
    lab.ready(guest)
    probe(guest, "echo 10")


@test
def many_processes_come_and_go(lab):
    guest = lab.main()
    mediator = lab.ready(guest)
    descriptors = "/proc/%d/fd" % guest.qemu.pid
    before = len(os.listdir(descriptors))
    opened = 0
    # An emulated processor of a busy machine may take its time.
    for _ in range(5):
        if opened <= 20:
            probe(guest, "churn 4")
            opened = mediator.count("open")
    holds(opened > 20, "only %d opens" % opened)
    holds(mediator.wait("close", opened), "every open is closed: %d of %d" % (mediator.count("close"), opened))
    equal(mediator.count("bad message") + mediator.count("bad close") + mediator.count("bad open"), 0)
    equal(len(os.listdir(descriptors)), before, "descriptors of QEMU")
    equal(os.fstat(lab.device(guest).memory_fd).st_blocks, 0, "pages still held on the host")


@test
def driver_unloads_and_loads(lab):
    guest = lab.main()
    mediator = lab.ready(guest)
    process = probe_start(guest, "hold", "holding")
    holds(guest.run("rmmod vgpu").status != 0, "rmmod with an open file")
    guest.check("kill -9 %d" % process)
    holds(mediator.wait("close"), "closed")
    guest.check("for i in 1 2 3 4 5 6 7 8 9 10; do rmmod vgpu && insmod /lib/modules/vgpu.ko && "
                "vgpu_probe echo 2 || exit 1; done")


@test
def device_removed_in_the_guest(lab):
    guest = lab.main()
    lab.ready(guest)
    probe_start(guest, "unplugged", "waiting")
    guest.check("for device in /sys/bus/pci/drivers/vgpu/0*; do echo 1 >$device/remove; done")
    holds("unplugged" in probe_end(guest), "unplugged")
    guest.check("echo 1 >/sys/bus/pci/rescan; [ -c /dev/vgpu0 ]")
    probe(guest, "zero %d" % CHANNELS)


@test
def registers_take_anything(lab):
    neighbour, guest = lab.main(), lab.boot("fuzz")
    lab.ready(neighbour)
    lab.ready(guest)
    results = []
    worker = threading.Thread(target=lambda: results.append(neighbour.run("vgpu_probe churn 8")))
    worker.start()
    resource = guest.check("echo /sys/bus/pci/drivers/vgpu/0*/resource0").output.strip()
    # First beside the driver, with a process in it, then without it.
    probe_start(guest, "hold", "holding")
    probe(guest, "fuzz 3 1 " + resource)
    guest.check("kill -9 $(cat /tmp/probe.pid)")
    folder = guest.check("readlink -f /sys/bus/pci/drivers/vgpu/0*").output.strip()
    guest.check("rmmod vgpu")
    guest.check("echo 1 >%s/enable; vgpu_probe fuzz 3 2 %s/resource0" % (folder, folder))
    worker.join()
    equal(results[0].status, 0, "the neighbour: " + results[0].output)
    commands = sum(event[0] in ("open", "close") and event[1] == 2 for event in lab.mediator.events)
    holds(commands > 1000, "the writes opened and closed channels only %d times" % commands)
    equal(guest.qemu.poll(), None, "QEMU runs")
    guest.check("insmod /lib/modules/vgpu.ko")
    lab.ready(guest)
    probe(guest, "echo 100")
    probe(guest, "zero %d" % CHANNELS)
    probe(neighbour, "zero %d" % CHANNELS)


@test
def guest_sleeps(lab):
    guest = lab.boot("fuzz")
    mediator = lab.ready(guest)
    probe_start(guest, "lost", "waiting")
    guest.run("(sleep 0.2; echo mem >/sys/power/state) & :")
    eventually(lambda: guest.qmp("query-status")["status"] == "suspended", "it sleeps")
    guest.qmp("system_wakeup")
    holds(mediator.wait("close"), "the channel is closed")
    holds("lost, error 6" in probe_end(guest), "its process hears of it")
    lab.ready(guest)
    probe(guest, "zero %d" % CHANNELS)
    probe(guest, "echo 10")


@test
def guest_reboots(lab):
    guest = lab.boot("fuzz")
    mediator = lab.ready(guest)
    probe_start(guest, "hold", "holding")
    # As after a crash: no driver says goodbye.
    guest.run("(sleep 0.2; echo b >/proc/sysrq-trigger) & :")
    holds(mediator.wait("close"), "the channel is closed")
    equal(mediator.count("disconnected"), 0, "the device stays connected")
    guest.rebooted()
    lab.ready(guest)
    probe(guest, "zero %d" % CHANNELS)


@test
def tracing_logs_doorbells(lab):
    guest = lab.boot("trace")
    lab.ready(guest)
    probe(guest, "echo 10")
    log = guest.qemu_output()
    for line in ("CUDA DOORBELL RING", "PROCESSING CUDA DOORBELL", "SENDING CUDA CALL to mediator",
                 "CUDA CALL SENT to mediator"):
        count = log.count("[vgpu] vm_id=3: %s\n" % line)
        holds(count >= 11, "%d times %s" % (count, line))
    equal(guest.run("vgpu_probe exhaust").output, "opened 4 then EBUSY\n")


@test
def memory_behind_a_bridge(lab):
    guest = lab.boot("trace")
    lab.ready(guest)
    resources = guest.check("cat /sys/bus/pci/drivers/vgpu/0*/resource").output.splitlines()
    holds(int(resources[1].split()[0], 16) < 1 << 32, "this guest is to have it below 4 GiB: " + resources[1])
    for arguments in "limits", "echo 50", "zero 4", "zero 4":
        probe(guest, arguments)


@test
def device_unplugged_by_the_host(lab):
    guest = lab.boot("trace")
    mediator = lab.ready(guest)
    probe_start(guest, "unplugged", "waiting")
    guest.qmp("device_del", id="vgpu")
    holds("unplugged" in probe_end(guest), "unplugged")
    holds(mediator.wait("disconnected"), "the device disconnects")
    trace_plug(lab, guest)
    probe(guest, "zero 4")


def config_write(guest, folder, place, value):
    content = "".join("\\%03o" % byte for byte in struct.pack("<I", value))
    guest.check("printf '%s' | dd of=%s/config bs=1 seek=%d conv=notrunc 2>/dev/null" % (content, folder, place))


@test
def registers_used_while_they_go(lab):
    """QEMU's emulation before 8.1 has a defect: a processor that meets a change of the memory map can use what has
    taken the number of what it wanted, here what follows the registers by address (mended by QEMU's commit
    0d58c660689f). So these are moved to the end of PCI's addresses: the interrupt controller follows, which takes
    such accesses without an effect, and nothing else of the device is reached by its bridge."""
    guest = lab.boot("trace")
    mediator = lab.ready(guest)
    for use in "reads", "resets":
        folder = guest.check("readlink -f /sys/bus/pci/drivers/vgpu/0*").output.strip()
        bridge = os.path.dirname(folder)
        window = struct.unpack("<I", guest.get(bridge + "/config")[BRIDGE_MEMORY:BRIDGE_MEMORY + 4])[0]
        guest.check("rmmod vgpu")
        config_write(guest, bridge, BRIDGE_MEMORY, LAST_PCI_ADDRESS | LAST_PCI_ADDRESS >> 16)
        config_write(guest, folder, FIRST_BAR, LAST_PCI_ADDRESS)
        config_write(guest, folder, FIRST_BAR + 4, OUTSIDE_THE_BRIDGE)
        guest.check("echo 1 >%s/enable" % folder)
        # One processor is inside the device all the time while another takes it away, and no driver is asked.
        guest.check("vgpu_probe hammer 0x%x %s >/tmp/hammer.log 2>&1 & echo $! >/tmp/hammer.pid; "
                    "while ! grep -q hammering /tmp/hammer.log; do [ -d /proc/$! ] || { cat /tmp/hammer.log; exit 1; }; "
                    "usleep 20000; done" % (LAST_PCI_ADDRESS, use))
        mediator.forget()
        guest.check("vgpu_probe eject")
        holds(mediator.wait("disconnected"), "the device disconnects")
        guest.check("kill -9 $(cat /tmp/hammer.pid); echo 1 >%s/remove; insmod /lib/modules/vgpu.ko" % folder)
        config_write(guest, bridge, BRIDGE_MEMORY, window)
        trace_plug(lab, guest)
    probe(guest, "echo 10")


@test
def kernels_are_content(lab):
    for name, guest in lab.guests.items():
        if guest.qemu:
            log = guest.check("dmesg").output
            holds(not re.search(r"WARNING:|BUG:|Oops|Call Trace|general protection|lockup", log), name + ":\n" + log)


@test
def qemu_killed(lab):
    guest = lab.boot("trace")
    mediator = lab.ready(guest)
    probe_start(guest, "hold", "holding")
    guest.qemu.send_signal(signal.SIGKILL)
    holds(mediator.wait("disconnected"), "the connection ends with QEMU")
    lab.guests["trace"].stop()


def main():
    words = sys.argv[1:]
    chosen = [function for function in TESTS if not words or any(word in function.__name__ for word in words)]
    print("TAP version 13\n1..%d" % len(chosen), flush=True)
    with tempfile.TemporaryDirectory(prefix="vgpu-test-") as folder:
        lab = Lab(folder)
        try:
            results = [test_run(function, lab, number) for number, function in enumerate(chosen, 1)]
        finally:
            lab.close()
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
