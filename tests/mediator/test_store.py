# SPDX-License-Identifier: Apache-2.0
"""The database of settings: made, damaged, of other versions, taken over: test_store.py MEDIATOR TEST_EXECUTOR"""

import contextlib
import os
import sqlite3
import sys
import tempfile
import time

import harness
from harness import Device, Mediator, wait_until

APPLICATION_ID = 0x76677075


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="vgpu-store-") as path:
        yield path


def mediator(path, *options):
    return Mediator("--database=" + database(path), *options, folder=path)


def database(path):
    return os.path.join(path, "vgpu.db")


def execute(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def query(path, statement):
    connection = sqlite3.connect(path)
    rows = connection.execute(statement).fetchall()
    connection.close()
    return rows


def refused(path, *options):
    """What the log says of a database with which the mediator does not start."""
    with Mediator("--database=" + database(path), *options, folder=path, wait=False) as daemon:
        code = daemon.process.wait(harness.PATIENCE)
        log = daemon.log()
        assert code == 1, (code, log)
        daemon.process.returncode = 0
    assert "[STORE]" in log, log
    return log


def test_new():
    with folder() as path:
        with mediator(path):
            pass
        assert os.stat(database(path)).st_mode & 0o777 == 0o600
        assert query(database(path), "PRAGMA user_version") == [(3,)]
        assert query(database(path), "PRAGMA application_id") == [(APPLICATION_ID,)]
        assert not os.path.exists(database(path) + "-wal")


def test_an_older_version_is_brought_up():
    with folder() as path:
        with mediator(path):
            pass
        # Version 1: without GPUs and without limits of the host's memory.
        older = ("DROP TABLE gpus", "ALTER TABLE tenants DROP COLUMN host_memory_mib",
                 "ALTER TABLE tenants DROP COLUMN host_tasks", "PRAGMA user_version = 1")
        execute(database(path), *older,
                "INSERT INTO tenants (key, vm_id, pool) VALUES ('vm:7', 7, 'C')")
        with mediator(path) as daemon, Device(daemon.socket, vm_id=7):
            assert daemon.wait_log("vm_id=7 pool=C")
        assert query(database(path), "PRAGMA user_version") == [(3,)]
        assert query(database(path), "SELECT * FROM gpus") == []
        # What cannot be brought up is left as it was.
        execute(database(path), *older, "CREATE VIEW gpus AS SELECT 1")
        assert "cannot be brought to version 2" in refused(path)
        assert query(database(path), "PRAGMA user_version") == [(1,)]
        assert query(database(path), "SELECT key FROM tenants") == [("vm:7",)]


def test_the_store_wins_over_the_device_and_the_file():
    with folder() as path:
        with mediator(path):
            pass
        execute(database(path), "INSERT INTO tenants (key, vm_id, pool, priority, processes) "
                                "VALUES ('vm:7', 7, 'C', 2, 1)")
        with mediator(path, "--tenant=vm:7 processes=9") as daemon, Device(daemon.socket, vm_id=7) as device:
            assert daemon.wait_log("vm_id=7 pool=C priority=high")
            assert device.open(0).kind == harness.READY
            answer = device.open(1)
            assert answer.kind == harness.FAILED and "limit of 1 processes" in answer.text, answer.text


def test_quarantine_outlives_the_mediator():
    with folder() as path:
        options = ("--quarantine-faults=2", "--quarantine-time=600")
        with Mediator("--database=" + database(path), *options, folder=path, behaviour="die") as daemon:
            with Device(daemon.socket, vm_id=3) as device:
                for channel in 0, 1:
                    assert device.open(channel).kind == harness.READY
                    device.ring()
                    assert device.receive().error == harness.ERROR_EXECUTOR_DIED
                assert daemon.wait_log("QUARANTINE. vm_id=3: quarantined for 600 s")
        rows = query(database(path), "SELECT key, until - since, by FROM quarantines")
        assert rows == [("vm:3", 600, "mediator")], rows
        for _ in range(2):
            with mediator(path, *options) as daemon:
                with Device(daemon.socket, vm_id=3) as device, Device(daemon.socket, vm_id=4) as other:
                    assert "quarantined" in device.open(0).text
                    assert other.open(0).kind == harness.READY
        execute(database(path), "UPDATE quarantines SET until = %d" % (time.time() + 7))
        with mediator(path, *options) as daemon, Device(daemon.socket, vm_id=3) as device:
            assert "quarantined" in device.open(0).text
            assert wait_until(lambda: device.open(0).kind == harness.READY)
            assert daemon.wait_log("QUARANTINE. vm_id=3: over")
        assert query(database(path), "SELECT * FROM quarantines") == []
        # By hand: without an end.
        execute(database(path), "INSERT INTO quarantines VALUES ('vm:3', 1, 0, 'why', 'root')")
        with mediator(path, *options) as daemon, Device(daemon.socket, vm_id=3) as device:
            assert "quarantined" in device.open(0).text


def test_damage():
    with folder() as path:
        with mediator(path):
            pass
        with open(database(path), "rb") as file:
            good = file.read()
        for what, bad in (("empty", b""), ("garbage", os.urandom(8192)), ("text", b"hello\n" * 1000),
                          ("half", good[:len(good) // 2]), ("no header", b"\0" * 100 + good[100:]),
                          ("pages", good[:4096] + b"\xff" * (len(good) - 4096))):
            with open(database(path), "wb") as file:
                file.write(bad)
            log = refused(path)
            assert "damaged" in log or "empty file" in log, (what, log)
            with open(database(path), "rb") as file:
                assert file.read() == bad, what
        with open(database(path), "wb") as file:
            file.write(good)
        with mediator(path):
            pass


def test_other_databases_are_refused():
    with folder() as path:
        with mediator(path):
            pass
        execute(database(path), "PRAGMA user_version = 1000")
        assert "newer mediator" in refused(path)
        execute(database(path), "PRAGMA user_version = 3", "DROP TABLE quarantines")
        assert "other tables" in refused(path)
    with folder() as path:
        execute(database(path), "CREATE TABLE somebody (value)")
        assert "another program" in refused(path)
        assert query(database(path), "SELECT name FROM sqlite_master") == [("somebody",)]
    with folder() as path:
        os.mkdir(database(path))
        assert "cannot be opened" in refused(path)


EARLIER = ("CREATE TABLE pools (pool_id CHAR(1) PRIMARY KEY, pool_name TEXT, description TEXT, enabled INTEGER, "
           "created_at TEXT)",
           "CREATE TABLE vms (vm_id INTEGER, vm_uuid TEXT, vm_name TEXT, pool_id CHAR(1), priority %s, "
           "weight INTEGER DEFAULT 50, max_jobs_per_sec INTEGER DEFAULT 0, max_queue_depth INTEGER DEFAULT 0, "
           "quarantined INTEGER DEFAULT 0, error_count INTEGER DEFAULT 0)",
           "INSERT INTO pools VALUES ('A', 'production', 'the good one', 1, 'x'), ('B', 'test', NULL, 0, 'x')")


def test_earlier_database_is_taken_over():
    for kind, high in (("TEXT", "'high'"), ("INTEGER", "2")):
        with folder() as path:
            earlier = os.path.join(path, "earlier.db")
            execute(earlier, EARLIER[0], EARLIER[1] % kind, EARLIER[2],
                    "INSERT INTO vms VALUES (NULL, 'AAAA-1', 'unstarted', 'A', %s, 50, 0, 0, 0, 0)" % high,
                    "INSERT INTO vms VALUES (1, 'bbbb-2', 'one', 'B', %s, 30, 100, 8, 1, 4)" % high,
                    "INSERT INTO vms VALUES (2, 'cccc-3', NULL, 'A', NULL, 400, 0, 0, 0, 0)")
            before = open(earlier, "rb").read()
            with mediator(path, "--database-import=" + earlier) as daemon:
                assert daemon.wait_log("3 VMs were taken over")
                with Device(daemon.socket, vm_id=1) as device:
                    assert daemon.wait_log("vm_id=1 pool=B priority=high")
                    assert "quarantined" in device.open(0).text
            assert open(earlier, "rb").read() == before
            rows = query(database(path), "SELECT key, uuid, name, pool, priority, weight, commands_per_second, "
                                         "queue_depth FROM tenants ORDER BY vm_id")
            assert rows == [("vm:1", "bbbb-2", "one", "B", 2, 30, 100, 8),
                            ("vm:2", "cccc-3", None, "A", None, 100, None, None),
                            ("vm:3", "aaaa-1", "unstarted", "A", 2, 50, None, None)], rows
            rows = query(database(path), "SELECT pool, name, description, enabled FROM pools ORDER BY pool")
            assert rows == [("A", "production", "the good one", 1), ("B", "test", None, 0)], rows
            # Once: what was removed since does not come back.
            execute(database(path), "DELETE FROM tenants")
            with mediator(path, "--database-import=" + earlier):
                pass
            assert query(database(path), "SELECT count(*) FROM tenants") == [(0,)]


def test_earlier_database_that_cannot_be_taken_over():
    with folder() as path:
        earlier = os.path.join(path, "earlier.db")
        execute(earlier, EARLIER[0], EARLIER[1] % "TEXT",
                "INSERT INTO vms (vm_id, vm_name) VALUES (1, 'one'), (1, 'other')")
        assert "vm_id 1 is there twice" in refused(path, "--database-import=" + earlier)
        with open(earlier, "wb") as file:
            file.write(b"no database at all" * 100)
        assert "cannot be taken over" in refused(path, "--database-import=" + earlier)
        execute(os.path.join(path, "third.db"), "CREATE TABLE x (y)")
        assert "no table vms" in refused(path, "--database-import=" + os.path.join(path, "third.db"))
        # Nothing was begun: the right file is still taken over.
        os.unlink(earlier)
        execute(earlier, EARLIER[0], EARLIER[1] % "TEXT", "INSERT INTO vms (vm_id) VALUES (1)")
        with mediator(path, "--database-import=" + earlier) as daemon:
            assert daemon.wait_log("1 VMs were taken over")


def test_reload_keeps_quarantines_and_settings():
    with folder() as path:
        with mediator(path):
            pass
        execute(database(path), "INSERT INTO quarantines VALUES ('vm:3', 1, 0, 'why', 'root')",
                "INSERT INTO tenants (key, vm_id, processes) VALUES ('vm:4', 4, 1)")
        with mediator(path) as daemon, Device(daemon.socket, vm_id=3) as bad, Device(daemon.socket, vm_id=4) as good:
            daemon.send_signal(1)
            assert daemon.wait_log("configuration was read again")
            assert "quarantined" in bad.open(0).text
            assert good.open(0).kind == harness.READY
            assert "limit of 1" in good.open(1).text


if __name__ == "__main__":
    Mediator.program, Mediator.executor = sys.argv[1:3]
    sys.exit(harness.run([value for name, value in list(globals().items()) if name.startswith("test_")]))
