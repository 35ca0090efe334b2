# SPDX-License-Identifier: Apache-2.0
"""What streams do beside kernels and copies, and what is made for kernels, through the whole path over the local transport, on the software GPU."""

import json
import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import tap
from stack import Mediator, build_directory, wait_until

PROGRAMS = build_directory() / 'tests' / 'end_to_end'
CALLS = r'(\d+) calls, \d+ launches'
CHAINED = r'(\d+) launches in chains'
# host/executor/launch_chain.h
GRAPHS, LAUNCHES = 8, 8


class Streams(unittest.TestCase):
    def passes(self, *command, options=(), tells=None):
        """Runs a program; what the mediator's log says in the group of 'tells' then, a number."""
        with Mediator(*options) as mediator:
            done = mediator.run(PROGRAMS / command[0], *command[1:], CMOCKA_MESSAGE_OUTPUT='TAP')
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{mediator.text()[-4000:]}')
            number = int(mediator.wait_for_line(tells).group(1)) if tells else None
            mediator.wait_for_rest()
            return number

    def test_host_functions(self):
        self.passes('host_functions')

    def test_uncommon_uses(self):
        """A capture that ended with its stream makes no calls of later launches."""
        self.assertLess(self.passes('uncommon_uses', tells=CALLS), 8000)

    def test_error_of_another_context(self):
        """The log says what was called before."""
        self.assertGreater(self.passes('uncommon_uses', 'fault', tells=r'the last calls before.*LAUNCH\*(\d+) cuCtxSynchronize'), 0)

    def test_launches_that_wait(self):
        self.passes('uncommon_uses', 'blocking')

    def test_launches_on_several_devices(self):
        self.passes('several_launches')

    def test_settings_of_the_environment(self):
        self.passes('uncommon_uses', 'settings')

    def test_values(self):
        self.passes('stream_values')

    def test_event_answers(self):
        """What is known to be complete is not asked again."""
        self.assertLess(self.passes('event_answers', tells=CALLS), 20000)

    def test_idle_streams(self):
        """Of a stream that is known to be idle the host is asked now and then only."""
        self.assertLess(self.passes('idle_streams', tells=CALLS), 1000)

    def test_copy_order(self):
        self.passes('copy_order', 30)

    def test_foreign_streams(self):
        self.passes('foreign_streams')

    def test_waits(self):
        self.passes('waits')

    def test_staged_copies(self):
        self.passes('staged_copies')

    def test_graph_nodes(self):
        self.passes('graph_nodes')

    def test_refusals_of_graph_nodes(self):
        self.passes('graph_nodes', 'refusals')

    def test_graph_memory(self):
        self.passes('graph_memory')

    def test_quota_of_graph_memory(self):
        self.passes('graph_memory', 'quota', options=('--tenant-per-program', 'yes', '--tenant',
                                                      'program:graph_memory memory-mib=256'))

    def test_graph_captures(self):
        self.passes('graph_captures')

    def test_graph_queries(self):
        self.passes('graph_queries')

    def test_graph_conditional(self):
        self.passes('graph_conditional')

    def test_refusals_of_conditional_nodes(self):
        self.passes('graph_conditional', 'refusals')

    def test_graph_copies(self):
        self.passes('graph_copies')

    def test_quota_of_graph_copies(self):
        self.passes('graph_copies', 'quota', options=('--tenant-per-program', 'yes', '--tenant',
                                                      'program:graph_copies pinned-mib=64'))

    def test_green_contexts(self):
        self.passes('green_contexts')

    def test_refusals_of_green_contexts(self):
        self.passes('green_contexts', 'ours')

    def test_launch_rows(self):
        self.passes('launch_rows')

    def test_launches_in_chains(self):
        """Many launches that wait become chains; they wait for certain while the executor is stopped."""
        with Mediator('--executor-silence', '0') as mediator:
            program = mediator.spawn(PROGRAMS / 'launch_rows', 'held', stdin=subprocess.PIPE)
            for _ in range(2):
                self.assertEqual(program.stdout.readline(), 'ready\n')
                executor = int(mediator.wait_for_line(rf'client={program.pid}: ready, executor pid (\d+)').group(1))
                os.kill(executor, signal.SIGSTOP)
                program.stdin.write('\n')
                program.stdin.flush()
                self.assertEqual(program.stdout.readline(), 'issued\n')
                os.kill(executor, signal.SIGCONT)
            output, _ = program.communicate(timeout=60)
            self.assertEqual(program.returncode, 0, output + mediator.text()[-4000:])
            # Of one sequence there are so many graphs, which are free at first, and again when the first row is over.
            self.assertGreaterEqual(int(mediator.wait_for_line(CHAINED).group(1)), 2 * GRAPHS * LAUNCHES)

    def test_launch_rows_that_are_counted(self):
        """The scheduler, which counts kernels, sees single ones."""
        self.assertEqual(self.passes('launch_rows', tells=CHAINED, options=(
            '--tenant-per-program', 'yes', '--tenant', 'program:launch_rows queue-depth=64')), 0)

    def test_legacy_launches(self):
        self.passes('legacy_launches')

    def test_linker(self):
        self.passes('linker')

    def test_compile_cache(self):
        self.passes('compile_cache')

    def test_private_tables(self):
        self.passes('private_tables')

    def test_tensor_maps(self):
        self.passes('tensor_maps')

    def test_exit_with_host_functions_to_come(self):
        self.passes('host_functions', 'exit')

    def test_long_host_functions_are_no_long_kernels(self):
        self.passes('host_functions', 'long', options=('--tenant-per-program', 'yes', '--tenant',
                                                       'program:host_functions kernel-ms=500'))


class Sharing(unittest.TestCase):
    def test_parent_and_child(self):
        with Mediator() as mediator:
            done = mediator.run(PROGRAMS / 'ipc', CMOCKA_MESSAGE_OUTPUT='TAP')
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{mediator.text()[-4000:]}')
            mediator.wait_for_rest()

    def test_tenants(self):
        """What one tenant shares another one's handle does not open, nor anybody's when its process is gone."""
        with Mediator('--tenant-per-program', 'yes') as mediator, \
                tempfile.TemporaryDirectory(prefix='vgpu-ipc-') as folder:
            handles, other = Path(folder) / 'handles', Path(folder) / 'other'
            other.symlink_to(PROGRAMS / 'ipc')
            giver = mediator.spawn(PROGRAMS / 'ipc', 'give', handles, stdin=subprocess.PIPE)
            self.assertEqual(giver.stdout.readline(), 'given\n')
            done = mediator.run(other, 'take', handles)
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
            done = mediator.run(PROGRAMS / 'ipc', 'take', handles)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            giver.communicate(timeout=60)
            mediator.wait_for_rest()
            done = mediator.run(PROGRAMS / 'ipc', 'take', handles)
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)

    def test_allocation(self):
        with Mediator() as mediator:
            done = mediator.run(PROGRAMS / 'shared_allocation', CMOCKA_MESSAGE_OUTPUT='TAP')
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{mediator.text()[-4000:]}')
            mediator.wait_for_rest()

    def taken_by_its_tenant_alone(self, program):
        """Neither another tenant's, nor what its process has given up, though the descriptor is there."""
        with Mediator('--tenant-per-program', 'yes') as mediator, \
                tempfile.TemporaryDirectory(prefix='vgpu-share-') as folder:
            place, other = Path(folder) / 'place', Path(folder) / 'other'
            other.symlink_to(program)
            giver = mediator.spawn(program, 'give', place, stdin=subprocess.PIPE)
            self.assertEqual(giver.stdout.readline(), 'given\n')
            done = mediator.run(other, 'take', place)
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
            done = mediator.run(program, 'take', place)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            giver.stdin.write('x')
            giver.stdin.flush()
            self.assertEqual(giver.stdout.readline(), 'released\n')
            done = mediator.run(program, 'take', place)
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
            giver.communicate(timeout=60)
            mediator.wait_for_rest()

    def test_allocation_of_tenants(self):
        self.taken_by_its_tenant_alone(PROGRAMS / 'shared_allocation')

    def test_pool(self):
        with Mediator() as mediator:
            # The mediator's own look at the driver is over.
            mediator.wait_for_rest()
            before = mediator.file_descriptors()
            done = mediator.run(PROGRAMS / 'shared_pool', CMOCKA_MESSAGE_OUTPUT='TAP')
            self.assertEqual(done.returncode, 0, f'{done.stdout}\n{done.stderr}\n{mediator.text()[-4000:]}')
            mediator.wait_for_rest()
            wait_until(lambda: mediator.file_descriptors() <= before, 'descriptors of pools are closed')

    def test_pool_of_tenants(self):
        self.taken_by_its_tenant_alone(PROGRAMS / 'shared_pool')

    def test_quota_of_pools(self):
        """Memory counts for each process that has it: 128 MiB here, and 64 MiB of 128 there."""
        with Mediator('--tenant-per-program', 'yes', '--tenant', 'program:shared_pool memory-mib=224') as mediator:
            done = mediator.run(PROGRAMS / 'shared_pool', 'quota')
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_allocations_are_counted(self):
        with Mediator() as mediator:
            # The mediator's own look at the driver is over.
            mediator.wait_for_rest()
            before = mediator.file_descriptors()
            done = mediator.run(PROGRAMS / 'shared_allocation', 'many')
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertEqual(json.loads(done.stdout.splitlines()[-1]), {'exported': 1024, 'result': 2})
            mediator.wait_for_rest()
            wait_until(lambda: mediator.file_descriptors() <= before, 'they are closed')


if __name__ == '__main__':
    tap.main()
