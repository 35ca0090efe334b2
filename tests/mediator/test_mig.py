# SPDX-License-Identifier: Apache-2.0
"""
A GPU in MIG mode, as a small NVML tells of it, with the real executor on softgpu, whose devices are its instances:
test_mig.py MEDIATOR VGPU_ADMIN CUDA_EXECUTOR NVML SOFTGPU LIBCUDA VECTOR_ADD COPY_LOOP
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile

import harness
from harness import Mediator, wait_until
from ports import free_port

DONE, NOT_FOUND, CONFLICT = 0, 5, 6
FIRST, SECOND = ("MIG-736f6674-6770-8075-8000-00000000000%d" % number for number in (1, 2))

PROGRAM = EXECUTOR = NVML = SOFTGPU = LIBCUDA = VECTOR_ADD = COPY_LOOP = None


class Instances(Mediator):
    def __init__(self, gpus, *options, environment=None):
        variables = {"LD_LIBRARY_PATH": os.path.dirname(NVML), "VGPU_EXECUTOR_NVML_MIG": gpus, "SOFTGPU_MIG": "1",
                     "SOFTGPU_DEVICES": "2", **(environment or {})}
        super().__init__("--executor-environment=LD_LIBRARY_PATH", *options, driver=SOFTGPU, executor=EXECUTOR,
                         environment=variables)
        assert self.wait_log("CUDA initialized"), self.log()

    def admin(self, *arguments, code=DONE):
        done = subprocess.run([PROGRAM, "--socket=" + self.socket + ".admin", "--json", *arguments],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == code, (arguments, done)
        return json.loads(done.stdout) if code == DONE else done.stderr

    def start(self, *command):
        environment = dict(os.environ, LD_LIBRARY_PATH=os.path.dirname(LIBCUDA), VGPU_SOCKET=self.socket,
                           VGPU_TRANSPORT="local")
        environment.pop("CUDA_VISIBLE_DEVICES", None)
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def copying(self):
        program = self.start(COPY_LOOP)
        line = program.stdout.readline()
        assert line == "copying\n", (line, self.log())
        return program

    def programs(self):
        """On each instance."""
        return [gpu["programs"] for gpu in self.admin("scan-gpus")]

    def executors_see(self):
        """What CUDA_VISIBLE_DEVICES of each program's executor is."""
        seen = []
        for pid in self.executors():
            with open("/proc/%d/environ" % pid, "rb") as file:
                seen += re.findall(rb"CUDA_VISIBLE_DEVICES=([^\0]*)", file.read()) or [b"all"]
        return sorted(value.decode() for value in seen)


def end(*programs):
    for program in programs:
        program.kill()
        program.communicate(timeout=60)


def test_instances_are_listed_and_their_gpu_is_not():
    with Instances("1/2") as daemon:
        first, second, whole = daemon.admin("scan-gpus")
        assert (first["uuid"], first["instance"], first["memory_mib"]) == (FIRST, "0:1", 10 << 10), first
        # Of a compute instance that is not the first one the number is told too.
        assert (second["uuid"], second["instance"], second["name"]) == (SECOND, "0:5:2", "small GPU MIG 1g.10gb")
        assert (whole["uuid"], whole["instance"], whole["name"]) == ("GPU-2", "", "small GPU"), whole
    with Instances("2/2") as daemon:
        # A GPU in MIG mode without an instance is nothing that a program could be on.
        assert [gpu["uuid"] for gpu in daemon.admin("scan-gpus")] == [FIRST, SECOND]


def test_no_gpu_in_that_mode():
    with Instances("0/2") as daemon:
        gpu, = daemon.admin("scan-gpus")
        assert gpu["instance"] == "" and gpu["uuid"].startswith("GPU-") and gpu["name"].startswith("softgpu"), gpu


def test_what_can_be_assigned():
    with Instances("1/2") as daemon:
        daemon.admin("assign-gpu", FIRST, "B")
        daemon.admin("assign-gpu", "0:5:2", "C")
        assert [gpu["pool"] for gpu in daemon.admin("scan-gpus")] == ["B", "C", ""]
        assert "in MIG mode" in daemon.admin("assign-gpu", "GPU-1", "B", code=CONFLICT)
        for unknown in "0:2", "0:5", "MIG-1", "1:1":
            daemon.admin("assign-gpu", unknown, "B", code=NOT_FOUND)
        daemon.admin("assign-gpu", "0:1", "none")
        daemon.admin("assign-gpu", "2", "B")
        assert [gpu["pool"] for gpu in daemon.admin("scan-gpus")] == ["", "C", "B"]


def test_each_program_is_on_one_instance():
    """Also as long as none belongs to a pool, for CUDA would show all programs the same one."""
    with Instances("1/1") as daemon:
        programs = [daemon.copying(), daemon.copying()]
        assert daemon.programs() == [1, 1], daemon.log()
        assert daemon.executors_see() == [FIRST, SECOND]
        # Each has a scheduler: nobody waits for a tenant on another instance.
        daemon.send_signal(signal.SIGUSR1)
        assert daemon.wait_log("STATE. GPU 0: policy fair") and daemon.wait_log("STATE. GPU 1: policy fair")
        end(*programs)
        assert wait_until(lambda: daemon.programs() == [0, 0])
        daemon.admin("assign-gpu", "0:5:2", "A")
        programs = [daemon.copying(), daemon.copying()]
        assert daemon.programs() == [0, 2] and daemon.executors_see() == [SECOND, SECOND]
        program = daemon.start(VECTOR_ADD, "10000")
        output, _ = program.communicate(timeout=120)
        assert program.returncode == 0 and "PASS" in output, output
        end(*programs)


def test_a_fault_of_the_gpu_is_one_of_its_instances():
    with tempfile.TemporaryDirectory() as folder:
        events = os.path.join(folder, "events")
        open(events, "w").close()
        port = free_port()
        with Instances("1/2", "--metrics=127.0.0.1:%d" % port,
                       environment={"VGPU_EXECUTOR_NVML_EVENTS": events}) as daemon:
            with open(events, "a") as file:
                file.write("1 8 79\n")
            assert daemon.wait_log("GPU-1.*it has fallen off the bus"), daemon.log()
            faults = [gpu["fault"] for gpu in daemon.admin("scan-gpus")]
            assert faults[0] and faults[0] == faults[1] and not faults[2], faults
            # By any of its instances, or itself.
            daemon.admin("clear-gpu", "0:1")
            assert [gpu["fault"] for gpu in daemon.admin("scan-gpus")] == ["", "", ""]
            assert "nothing is known" in daemon.admin("clear-gpu", "GPU-1", code=CONFLICT)


if __name__ == "__main__":
    Mediator.program, PROGRAM, EXECUTOR, NVML, SOFTGPU, LIBCUDA, VECTOR_ADD, COPY_LOOP = map(os.path.abspath, sys.argv[1:9])
    sys.exit(harness.run([value for name, value in list(globals().items()) if name.startswith("test_")]))
