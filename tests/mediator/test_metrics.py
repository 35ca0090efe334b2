# SPDX-License-Identifier: Apache-2.0
"""What Prometheus reads: test_metrics.py MEDIATOR TEST_EXECUTOR VGPU_ADMIN GRAFANA_DASHBOARD CUDA_EXECUTOR NVML"""

import contextlib
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import exposition
import harness
import metrics_served
from harness import Device, Mediator, Skip, wait_until
from metrics_served import Served

DASHBOARD = EXECUTOR = NVML = None

EARLIER_NAMES = {"vgpu_jobs_total", "vgpu_errors_total", "vgpu_rejected_total", "vgpu_context_switches_total",
                 "vgpu_vm_jobs_total", "vgpu_vm_latency_p95_us", "vgpu_vm_latency_p99_us"}


def test_places_are_not_held():
    """Whoever has taken all places, and does nothing, makes room for who comes."""
    with Served() as served:
        held = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(100)]
        for _ in range(3):
            served.scrape()
            held += [socket.create_connection(("127.0.0.1", served.port)) for _ in range(100)]
        for connection in held:
            connection.close()


def test_text_is_written_once_a_second():
    """However many ask: what has changed since is in the next one."""
    with Served() as served:

        def connections():
            return served.shown().value("vgpu_connections")

        for number in range(1, 20):
            old = served.get()[1]
            begun = time.monotonic()
            while served.get()[1] == old:
                begun = time.monotonic()
            before = connections()
            with Device(served.daemon.socket, vm_id=number):
                after, took = connections(), time.monotonic() - begun
                assert wait_until(lambda: connections() == before + 1)
            assert wait_until(lambda: connections() == before)
            # It was written after 'begun'; on a busy machine there may be no second of it left to see.
            if took < 0.9:
                assert after == before, (before, after, took)
                return


def test_parser_is_strict():
    good = '# HELP a_total x\n# TYPE a_total counter\na_total{b="c\\"\\\\\\n"} 1\n'
    exposition.Exposition(good)
    for bad in (good[:-1], good + good, good + 'a_total{b="c\\"\\\\\\n"} 1\n', good + "b 1\n",
                good + 'a_total{b="x",b="y"} 1\n', good + 'a_total{b="\\x"} 1\n', good + "a_total -1\n",
                good + "a_total one\n", good + "a_total  1\n", "# HELP a x\n# TYPE a counter\na 1\n",
                "# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_sum 1\na_count 2\n",
                "# HELP a x\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n"):
        try:
            exposition.Exposition(bad)
        except AssertionError:
            continue
        raise AssertionError("accepted: " + bad)


def test_promtool_has_nothing_to_say():
    """But that two of the earlier attempt's names, which are kept, have a unit that is abbreviated."""
    def check(text):
        code, said = exposition.promtool(path, text)
        left = [line for line in said.splitlines()
                if not re.match("vgpu_vm_latency_p9[59]_us metric names should not contain abbreviated units$", line)]
        assert code in (0, 3) and not left, (code, left)

    path, why = exposition.promtool_find()
    if not path:
        raise Skip(why)
    bad = "# HELP a_total x\n# TYPE a_total counter\na_total{b=} 1\n"
    assert exposition.promtool(path, bad)[0] == 1
    assert exposition.promtool(path, "# TYPE a counter\na 1\n")[0] == 3
    name = 'a"b\\c{d="e"} 1 é'
    with Served() as served, Device(served.daemon.socket, vm_id=3, name=b"web") as device:
        assert served.daemon.wait_log("CUDA initialized")
        idle = served.get()[1].decode()
        check(idle)
        assert device.open(0).kind == harness.READY
        served.admin("update-vm", "3", "--memory-mib=64", "--name", name)
        served.admin("quarantine-vm", "3")
        device.open(1)
        busy = served.get()[1].decode()
        assert set(exposition.Exposition(busy).families) == set(exposition.Exposition(idle).families)
        check(busy)
    with WithErrors() as test:
        test.report(2, XID, 79)
        assert test.served.daemon.wait_log("Xid 79: ")
        faulty = test.served.get()[1].decode()
        assert "vgpu_gpu_xid_errors_total{" in faulty
        check(faulty)


def test_figures():
    with Served() as served, Device(served.daemon.socket, vm_id=3, name=b"web") as device:
        daemon = served.daemon
        assert daemon.wait_log("CUDA initialized")
        idle = served.scrape()
        assert EARLIER_NAMES <= set(idle.families), EARLIER_NAMES - set(idle.families)
        vm = {"tenant": "vm:3", "vm_id": "3"}
        info, = idle.named("vgpu_vm_info")
        assert info == {**vm, "name": "web", "uuid": "", "pool": "A", "priority": "medium"}, info
        assert device.open(0).kind == harness.READY
        served.admin("update-vm", "3", "--processes=1", "--weight=7", "--memory-mib=64", "--pool=C")
        device.open(1)
        device.open(1)
        served.admin("quarantine-vm", "3")
        busy = served.scrape()
        expected = {"vgpu_vm_weight": 7, "vgpu_vm_programs": 1, "vgpu_vm_rejected_total": 2,
                    "vgpu_vm_memory_limit_bytes": 64 << 20, "vgpu_vm_quarantined": 1, "vgpu_vm_quarantines_total": 1,
                    "vgpu_vm_executor_starts_total": 1, "vgpu_vm_entitlement_ratio": 1}
        seen = {name: busy.value(name, **vm) for name in expected}
        assert seen == expected, seen
        assert busy.value("vgpu_pool_programs", pool="A") == 1
        assert busy.value("vgpu_pool_rejected_total", pool="C") == 2
        assert busy.value("vgpu_rejected_total") == 2 and busy.value("vgpu_quarantines_total") == 1
        # The tenant belongs to the pool that its next program starts in.
        expected = {"vgpu_pool_quarantines_total": 1, "vgpu_pool_quarantined": 1, "vgpu_pool_entitlement_ratio": 1,
                    "vgpu_pool_memory_limit_bytes": 64 << 20, "vgpu_pool_wait_seconds_count": 0}
        seen = {name: busy.value(name, pool="C") for name in expected}
        assert seen == expected, seen
        assert busy.value("vgpu_pool_entitlement_ratio", pool="A") == 0
        assert math.isnan(idle.value("vgpu_pool_entitlement_ratio", pool="A"))
        assert math.isnan(busy.value("vgpu_pool_share_ratio", pool="C"))
        assert busy.value("vgpu_vms") == 1 and busy.value("vgpu_gpu_programs", gpu="0") == 1
        assert busy.value("vgpu_healthy", check="driver") == 1
        assert busy.named("vgpu_vm_info")[0]["pool"] == "C"
        # The same by vgpu-admin.
        other = exposition.Exposition(served.admin("show-metrics", "--prometheus"))
        assert set(other.samples) == set(busy.samples)
        assert json.loads(served.admin("--json", "show-metrics"))["rejected"] == 2


def test_a_crashing_executor_is_counted():
    # Before it is ready nothing of the tenant's has run in it, and it is no fault.
    # What an executor that may have been taken over says of its end does not excuse it.
    for behaviour, faults in ("die", 1), ("crash", 0), ("host-fault", 1), ("fault-6", 1), ("fault-10", 1), ("fault-13", 1):
        with Served(behaviour=behaviour) as served, Device(served.daemon.socket, vm_id=3) as device:
            if device.open(0).kind == harness.READY:
                device.ring()
                device.receive()
            seen = served.scrape()
            assert seen.value("vgpu_vm_executor_deaths_total", tenant="vm:3", vm_id="3") == 1
            assert seen.value("vgpu_vm_faults_total", tenant="vm:3", vm_id="3") == faults
            assert seen.value("vgpu_pool_executor_deaths_total", pool="A") == 1


def calls(seen, scope, labels):
    """Classes -> (calls, seconds), of a histogram that the parser has found sound."""
    name = "vgpu_%s_call_seconds" % scope
    return {found["class"]: (seen.value(name + "_count", **labels, **{"class": found["class"]}),
                             seen.value(name + "_sum", **labels, **{"class": found["class"]}))
            for found in seen.named(name + "_count") if labels.items() <= found.items()}


def test_latencies_of_calls():
    vm, pool = {"tenant": "vm:3", "vm_id": "3"}, {"pool": "B"}
    with Served() as served, Device(served.daemon.socket, vm_id=3, pool="B") as device, \
            Device(served.daemon.socket, vm_id=4, pool="B") as other:
        assert calls(served.scrape(), "vm", vm) == {}
        for peer, rings in ((device, 2), (other, 1)):
            assert peer.open(0).kind == harness.READY
            for _ in range(rings):
                peer.ring()
                assert peer.interrupted()
        seen = served.scrape()
        assert calls(seen, "vm", vm) == {"copy": (2, 0.00004)}, calls(seen, "vm", vm)
        assert calls(seen, "pool", pool) == {"copy": (3, 0.00006)}
        bucket = {"le": "5e-05", "class": "copy"}
        assert seen.value("vgpu_vm_call_seconds_bucket", **vm, **bucket) == 2
        assert seen.value("vgpu_vm_call_seconds_bucket", **vm, **{**bucket, "le": "1e-05"}) == 0
        # The executor's end takes nothing away.
        assert device.close_channel(0).kind == harness.CLOSED
        assert calls(served.scrape(), "vm", vm) == {"copy": (2, 0.00004)}
        assert calls(served.scrape(), "pool", pool) == {"copy": (3, 0.00006)}
        rows = {row["of"]: row for row in json.loads(served.admin("--json", "show-latency"))}
        assert set(rows) == {"pool B", "vm:3", "vm:4"}, rows
        assert rows["vm:3"]["class"] == "copy" and rows["vm:3"]["calls"] == 2
        assert rows["vm:3"]["mean_us"] == 20 and 10 < rows["vm:3"]["p50_us"] < rows["vm:3"]["p99_us"] <= 50
        assert re.search(r"^vm:3 +copy +2 +20\.000 ", served.admin("show-latency"), re.M)


def test_latencies_that_are_no_numbers():
    with Served(behaviour="boast") as served:
        for vm_id in range(1, 6):
            with Device(served.daemon.socket, vm_id=vm_id) as device:
                assert device.open(0).kind == harness.READY
                device.ring()
                assert device.interrupted()
                served.scrape()
        # The pool keeps what they said, and is still a histogram.
        assert calls(served.scrape(), "pool", {"pool": "A"})["launch"][0] > 1e15


def test_sensors_of_gpus():
    environment = {"LD_LIBRARY_PATH": os.path.dirname(os.path.abspath(NVML))}
    with Served("--executor-environment=LD_LIBRARY_PATH", "--heartbeat=1", executor=EXECUTOR,
                environment=environment) as served:
        assert wait_until(lambda: served.scrape().named("vgpu_gpu_utilization_ratio"))
        seen = served.scrape()
        expected = {"utilization_ratio": 0.75, "memory_utilization_ratio": 0.2, "memory_used_bytes": 1000000,
                    "temperature_celsius": 41, "power_watts": 123.456, "ecc_corrected_total": 5,
                    "ecc_uncorrected_total": 0}
        # The driver, softgpu, does not have them: they have no number.
        one, other = {"gpu": "GPU-1", "uuid": "GPU-1"}, {"gpu": "GPU-2", "uuid": "GPU-2"}
        assert {name: seen.value("vgpu_gpu_" + name, **one) for name in expected} == expected
        # What a GPU does not have is left out.
        assert seen.value("vgpu_gpu_temperature_celsius", **other) == 42
        assert seen.named("vgpu_gpu_power_watts") == [one]
        assert seen.named("vgpu_gpu_ecc_corrected_total") == [one]
    # Without NVML there is none of it, and nothing is wrong with that.
    with Served("--heartbeat=1", executor=EXECUTOR) as served:
        time.sleep(1.5)
        seen = served.scrape()
        if not any(name.startswith("vgpu_gpu_temp") for name in seen.families):
            assert "vgpu_gpu_power_watts" not in seen.families
        assert "SENSORS" not in served.daemon.log()


class WithErrors:
    """Two GPUs, GPU-1 and GPU-2, whose errors the test makes up; and the executor of the test's for all else."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="vgpu-gpu-errors-")
        self.events = os.path.join(self.folder, "events")
        open(self.events, "w").close()
        executor = os.path.join(self.folder, "executor")
        with open(executor, "w") as file:
            file.write('#!/bin/sh\ncase "$1" in\n--sensors|--gpu-events) exec "%s" "$@";;\n*) exec "%s" "$@";;\nesac\n'
                       % (os.path.abspath(EXECUTOR), os.path.abspath(Mediator.executor)))
        os.chmod(executor, 0o755)
        # Whoever executors run as.
        os.chmod(self.folder, 0o755)
        environment = {"LD_LIBRARY_PATH": os.path.dirname(os.path.abspath(NVML)),
                       "VGPU_EXECUTOR_NVML_EVENTS": self.events}
        self.served = Served("--executor-environment=LD_LIBRARY_PATH", "--heartbeat=1", executor=executor, probe="two",
                             environment=environment, waiting_children=1)

    def report(self, gpu, kind, data, count=1):
        with open(self.events, "a") as file:
            file.write("%d %x %d\n" % (gpu, kind, data) * count)

    def waiting(self):
        """Processes that wait for errors."""
        found = []
        for pid in self.served.daemon.children():
            with contextlib.suppress(OSError), open("/proc/%d/cmdline" % pid, "rb") as file:
                if b"--gpu-events" in file.read():
                    found.append(pid)
        return found

    def __enter__(self):
        return self

    def __exit__(self, *arguments):
        self.served.__exit__(*arguments)
        shutil.rmtree(self.folder)


XID, DOUBLE_BIT_ECC = 8, 2


def shown_gpu(daemon, device, channel):
    """What the program in the channel sees, or why there is none."""
    before = len(re.findall("surroundings: ", daemon.log()))
    answer = device.open(channel)
    if answer.kind != harness.READY:
        return answer.text
    assert daemon.wait_log("surroundings: ", count=before + 1)
    seen = re.findall(r"surroundings: .* gpu=(\S+)", daemon.log())[-1]
    device.close_channel(channel)
    return seen


def test_errors_of_gpus():
    with WithErrors() as test, Device(test.served.daemon.socket, vm_id=3) as device:
        served, daemon = test.served, test.served.daemon
        assert shown_gpu(daemon, device, 0) == "all"
        assert served.scrape().value("vgpu_healthy", check="gpus") == 1
        # A guest can cause any number of these: they are counted, and nothing follows from them.
        test.report(2, XID, 13, count=500)
        assert wait_until(lambda: ("vgpu_gpu_xid_errors_total", (("gpu", "1"), ("xid", "13"))) in
                          served.scrape().samples)
        assert wait_until(lambda: served.scrape().value("vgpu_gpu_xid_errors_total", gpu="1", xid="13") == 500)
        assert daemon.log().count("Xid 13") <= 30
        assert shown_gpu(daemon, device, 0) == "all" and served.get("/healthz")[0].status == 200
        # What its sensors say is said of the same GPU.
        sensors = {"gpu": "1", "uuid": "GPU-2"}
        assert wait_until(lambda: served.scrape().value("vgpu_gpu_temperature_celsius", **sensors) == 42)
        # Something to know, and the GPU can still be used.
        test.report(2, XID, 63)
        assert daemon.wait_log(r"\[GPU\] GPU 1 \(GPU-2\): Xid 63: ")
        assert shown_gpu(daemon, device, 0) == "all" and served.get("/healthz")[0].status == 503
        # The GPU has gone: programs start on the other one.
        test.report(2, XID, 79)
        assert daemon.wait_log(r"\[GPU\] GPU 1 \(GPU-2\): Xid 79: .*no more programs are started on it")
        answer, body = served.get("/healthz")
        assert answer.status == 503 and re.search(rb"gpus: bad: GPU 1: Xid 79: ", body), body
        assert served.scrape().value("vgpu_healthy", check="gpus") == 0
        assert shown_gpu(daemon, device, 0) == "00000000-0000-0000-0000-000000000001"
        served.admin("assign-gpu", "1", "A")
        assert shown_gpu(daemon, device, 0) == "00000000-0000-0000-0000-000000000001"
        served.admin("assign-gpu", "0", "B")
        assert "pool A has no GPU" in shown_gpu(daemon, device, 0)
        assert [bool(gpu["fault"]) for gpu in json.loads(served.admin("--json", "scan-gpus"))] == [False, True]
        # Until somebody has seen to it.
        served.admin("clear-gpu", "1")
        assert shown_gpu(daemon, device, 0) == "GPU-2"
        assert served.scrape().value("vgpu_healthy", check="gpus") == 1
        assert served.scrape().value("vgpu_gpu_xid_errors_total", gpu="1", xid="79") == 1


def test_top():
    """GPUs with what their sensors say, tenants with how long they wait and their calls take, in 100 columns."""
    with WithErrors() as test, Device(test.served.daemon.socket, vm_id=3, name=b"a name that is long") as device:
        served = test.served

        def measured():
            command = [metrics_served.PROGRAM, "--socket=" + served.daemon.socket + ".admin", "--json", "top", "--once", "--interval=1"]
            top = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            while top.poll() is None:
                device.ring()
                assert device.interrupted()
            seen = json.loads(top.communicate(timeout=60)[0])
            known = seen["gpus"][1]["temperature_celsius"] is not None and seen["tenants"][0]["call_p50_us"] is not None
            return seen if known else None

        assert device.open(0).kind == harness.READY
        assert served.daemon.wait_log("CUDA initialized")
        found = []
        assert wait_until(lambda: found.append(measured()) or found[-1], 60), served.admin("--json", "show-usage")
        gpu, (tenant,) = found[-1]["gpus"][1], found[-1]["tenants"]
        assert (gpu["name"], gpu["temperature_celsius"], gpu["power_milliwatts"]) == ("1", 42, None), gpu
        assert gpu["memory_total_bytes"] and gpu["memory_used_bytes"], gpu
        # The executor of the test says that a call takes 20 us, in the bucket from 10 to 50.
        assert 10 < tenant["call_p50_us"] < tenant["call_p99_us"] <= 50 and tenant["wait_p50_us"] is None, tenant
        shown = served.admin("top", "--once", "--interval=0.2")
        assert all(len(line) <= 100 for line in shown.splitlines()), shown
        assert re.search(r"^GPU 1: 0 programs of 0 tenants, 0 wait, \d+% busy, \S+/\S+, 42 C$", shown, re.M), shown
        assert re.search(r"^vm:3 a name th alone m50 +- 100% +- +- ", shown, re.M), shown


def test_errors_of_memory():
    with WithErrors() as test:
        # A GPU that the driver does not show to the mediator has its UUID for a name; this one reports ECC.
        test.report(1, DOUBLE_BIT_ECC, 0)
        assert test.served.daemon.wait_log(r"\[GPU\] GPU GPU-1 \(GPU-1\): ECC: double-bit ECC error")
        assert test.served.get("/healthz")[0].status == 503
        # The process that waits for errors is started again when it has ended.
        child, = test.waiting()
        os.kill(child, signal.SIGKILL)
        assert test.served.daemon.wait_log("the process that waits for errors was killed")
        assert wait_until(lambda: [pid for pid in test.waiting() if pid != child])


def test_names_are_escaped():
    name = 'a"b\\c{d="e"} 1 é'
    with Served() as served, Device(served.daemon.socket, vm_id=3, name=b'x"\n\\') as device:
        assert device.reply.error == harness.ERROR_NONE
        served.admin("update-vm", "3", "--name", name)
        label = served.scrape().named("vgpu_vm_info")[0]["name"]
        assert re.sub(r"\\(.)", r"\1", label) == name, label


def test_series_are_bounded():
    with Served("--user-connections-max=2000", "--connections-max=2000") as served:
        devices = []
        try:
            for vm_id in range(1, 1011):
                devices.append(Device(served.daemon.socket, vm_id=vm_id))
            seen = served.scrape()
            assert len(seen.named("vgpu_vm_info")) == 1000
            assert seen.value("vgpu_tenants_omitted") == 10
        finally:
            for device in devices:
                device.close()
        assert wait_until(lambda: not served.scrape().named("vgpu_vm_info"))


def test_health():
    with Served() as served:
        assert served.daemon.wait_log("CUDA initialized")
        answer, body = served.get("/healthz")
        assert answer.status == 200 and b"driver: good" in body
    with Served("--driver=missing.so") as served:
        assert served.daemon.wait_log("CUDA is not available")
        answer, body = served.get("/healthz")
        assert answer.status == 503 and b"driver: bad: missing.so" in body
        assert served.scrape().value("vgpu_healthy", check="driver") == 0
        assert served.scrape().value("vgpu_healthy", check="database") == 1


def test_requests():
    with Served() as served:
        assert served.get("/")[0].status == 404
        assert served.get("/metrics?x=y")[0].status == 200
        assert served.get("/metrics", "POST")[0].status == 405
        answer, body = served.get("/metrics", "HEAD")
        assert answer.status == 200 and int(answer.getheader("Content-Length")) > 1000 and body == b""
        for bad in (b"\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics\r\n\r\n", b"GET /metrics SPDY/1\r\n\r\n",
                    b"\xff\x00\xfe /metrics\r\n\r\n", b" \r\n\r\n", b"GET /metrics FTP\r\nHost: x\r\n\r\n"):
            assert served.raw(bad).startswith(b"HTTP/1.1 400 "), bad
        assert served.raw(b"GET /" + b"x" * 9000).startswith(b"HTTP/1.1 431 ")
        assert served.raw(b"GET /healthz HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 ")
        # In pieces, and with more than one request: the first is answered.
        with socket.create_connection(("127.0.0.1", served.port), timeout=harness.PATIENCE) as slow:
            for piece in (b"GE", b"T /heal", b"thz HTTP/1.1\r\n", b"\r", b"\nGET / HTTP/1.1\r\n\r\n"):
                slow.sendall(piece)
                time.sleep(0.02)
            assert b"driver: " in slow.recv(65536)
        assert served.scrape()


def test_connections_are_few_and_short():
    with Served() as served:
        descriptors = served.daemon.descriptors_at_rest()
        # Looked at meanwhile: on a busy machine the first ones are over before the last ones have connected.
        start = time.monotonic()
        silent, held = [], []
        for _ in range(200):
            silent.append(socket.create_connection(("127.0.0.1", served.port)))
            held.append(served.daemon.descriptors() - descriptors)
        assert wait_until(lambda: held.append(served.daemon.descriptors() - descriptors) or max(held) > 30), max(held)
        time.sleep(0.2)
        # More for the moments in which threads, of which there may be 32, close those that gave way.
        assert max(held) <= 64 + 32, max(held)
        assert wait_until(lambda: served.daemon.descriptors() - descriptors <= 64)
        assert wait_until(lambda: served.daemon.descriptors() == descriptors)
        print("# the last one was closed after %.1f s" % (time.monotonic() - start))
        assert served.scrape()
        for peer in silent:
            with contextlib.suppress(OSError):
                peer.close()


def test_without():
    with Mediator() as daemon:
        assert daemon.wait_log("CUDA initialized") and "[METRICS]" not in daemon.log()
    with Mediator("--metrics=none") as daemon:
        assert daemon.wait_log("CUDA initialized") and "[METRICS]" not in daemon.log()


def test_the_dashboard_asks_for_what_is_there():
    with open(DASHBOARD) as file:
        dashboard = json.load(file)
    with Served() as served, Device(served.daemon.socket, vm_id=3) as device:
        assert device.open(0).kind == harness.READY
        device.ring()
        assert device.interrupted()
        seen = served.scrape()
        # Errors of GPUs have samples only where there were some.
        names = {name for name, _ in seen.samples} | {"vgpu_gpu_xid_errors_total"} & set(seen.families)
        with Served("--executor-environment=LD_LIBRARY_PATH", executor=EXECUTOR,
                    environment={"LD_LIBRARY_PATH": os.path.dirname(os.path.abspath(NVML))}) as other:
            names |= {name for name, _ in other.scrape().samples}
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        used = set(re.findall(r"\bvgpu_[a-z0-9_]+", " ".join(expressions)))
        assert len(expressions) > 20 and used <= names, used - names
    identities = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identities)) == len(identities)


if __name__ == "__main__":
    Mediator.program, Mediator.executor = sys.argv[1:3]
    metrics_served.PROGRAM, DASHBOARD, EXECUTOR, NVML = sys.argv[3:7]
    sys.exit(harness.run([value for name, value in list(globals().items()) if name.startswith("test_")]))
