# SPDX-License-Identifier: Apache-2.0
"""A Debian host with systemd, emulated, on which the host side is installed as docs/operations.md says (make-host.sh)."""

import re
import subprocess
import unittest

import guest as machines
import stack

# An emulated processor on a machine that does other things too.
PATIENCE = 240
TESTS = '/usr/lib/test'
CONFIGURATION = '/etc/vgpu/mediator.conf'
SOFTGPU = '/usr/local/lib/vgpu/libsoftgpu.so.1'


def disk(suite):
    """Its path; the test is skipped where the packages cannot be had."""
    done = subprocess.run([machines.script('tests/systemd/make-host.sh'), machines.CACHE, stack.build_directory(), suite],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=900,
                          check=False)
    if done.returncode == 77:
        raise unittest.SkipTest(done.stderr.strip())
    if done.returncode:
        raise machines.GuestError(done.stderr)
    return done.stdout.strip().splitlines()[-1]


def wait_until(condition, what):
    return stack.wait_until(condition, what, PATIENCE)


class Host(machines.Guest):
    """What is written to its disk lasts as long as it does."""

    def __init__(self, suite):
        image = machines.build_image([machines.script('tests/systemd/switch.sh') + ':switch'])
        drive = ['-drive', f'file={disk(suite)},if=virtio,format=raw,snapshot=on']
        super().__init__(vm_id=1, image=image, device=False, memory_mib=2048, cpus=2, reboot=True, extra_qemu=drive,
                         extra_kernel='rdinit=/switch')

    def install(self):
        """alice's programs may reach QEMU's socket too, vera may look, nora is nobody in particular."""
        self.check(f'cp -a {TESTS}/installed/. / && systemd-sysusers && systemd-tmpfiles --create')
        self.check('useradd -u 1000 alice && usermod -aG vgpu alice && useradd -u 1001 vera && usermod -aG vgpu-view vera '
                   '&& useradd -u 1002 nora')
        # There is no GPU, and that is meant. Programs that copy without end leave the processors to others.
        lines = 'driver = softgpu\nexecutor-start-timeout = 150\ntenant = default mib-per-second=40\n'
        self.check(f"printf '{lines}' >>{CONFIGURATION} && systemctl daemon-reload")

    def start(self, timeout=PATIENCE):
        super().start(timeout)

    def run(self, command, timeout=PATIENCE):
        return super().run(command, timeout)

    def check(self, command, timeout=PATIENCE):
        return super().check(command, timeout)

    def show(self, unit, name):
        """A property of the unit."""
        return self.check(f'systemctl show --value -p {name} {unit}').output.strip()

    def journal(self, unit):
        return self.check(f'journalctl -o cat -u {unit}').output

    def read(self, path):
        return self.run(f'cat {path} 2>/dev/null').output

    def status(self, pid, name):
        """A line of /proc/PID/status."""
        return re.search(rf'^{name}:\s*(.*)$', self.read(f'/proc/{pid}/status'), re.MULTILINE).group(1)

    def run_as(self, user, command):
        return self.run('LD_LIBRARY_PATH=/usr/local/lib/vgpu-cuda '
                        f'setpriv --reuid {user} --regid $(id -g {user}) --init-groups {command}')

    def copy_loop(self, user, output, mib=32):
        """Starts it as that user, again where it could not begin (a worker's handshake has a limit); returns when it copies."""
        wait_until(lambda: self._copies(user, output, mib), 'it copies')

    def _copies(self, user, output, mib):
        self.check(f'rm -f {output}')
        self.check(f"setsid setpriv --reuid {user} --regid {user} --init-groups sh -c "
                   f"'LD_LIBRARY_PATH=/usr/local/lib/vgpu-cuda {TESTS}/copy_loop {mib}; echo ended' >{output} 2>&1 </dev/null &")
        wait_until(lambda: self.read(output), 'it says something')
        return self.read(output) == 'copying\n'

    def executors(self):
        return self.run('pgrep -x cuda-executor').output.split()
