# SPDX-License-Identifier: Apache-2.0
"""As whom a worker's processes run, and where what the driver compiles is kept for each tenant."""

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import tempfile
import unittest
from pathlib import Path

import tap
from link_peer import STATUS, frames, open_frame
from stack import Mediator, build_directory, wait_until
from worker_stack import Authority, Worker, WorkerStack, psk_write

COPY_LOOP = build_directory() / 'tests' / 'end_to_end' / 'copy_loop'
FIRST, NOBODY = 700000, 65534
MACHINE = r'host-[0-9a-f]{32}'


def status_of(process, field):
    return Path(f'/proc/{process}/status').read_text().split(f'\n{field}:\t')[1].split('\n')[0].split('\t')


def user_of(process):
    return int(status_of(process, 'Uid')[1])


def environment_of(process):
    entries = Path(f'/proc/{process}/environ').read_bytes().decode().split('\0')
    return dict(entry.split('=', 1) for entry in entries if entry)


def as_user(user, action):
    """What the action returns, an exit code, when that user does it."""
    child = os.fork()
    if child == 0:
        code = 99
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            code = action()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def harm(process):
    """0: nothing that one user may do to its own processes can be done to that one."""
    for attempt in (lambda: os.kill(process, signal.SIGUSR1), lambda: os.listdir(f'/proc/{process}/fd'),
                    lambda: os.sched_setaffinity(process, {0}), lambda: open(f'/proc/{process}/mem', 'rb').close()):
        try:
            attempt()
            return 1
        except PermissionError:
            pass
    return 0


class Place:
    """A folder that every user gets to, with what executors need."""

    def __init__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix='vgpu-users-test-')
        self.path = Path(self.temporary.name)
        self.path.chmod(0o755)
        build = build_directory()
        self.options = ('--executor-user', 'nobody', '--executor',
                        shutil.copy(build / 'host' / 'executor' / 'cuda-executor', self.path), '--driver',
                        shutil.copy(build / 'softgpu' / 'driver' / 'libsoftgpu.so.1', self.path))
        self.cache = self.path / 'cache'

    def users(self, count):
        return (*self.options, '--executor-users-first', str(FIRST), '--executor-users-count', str(count))

    def program(self, name):
        """A tenant of its own, where each program is one."""
        path = self.path / name
        if not path.exists():
            path.symlink_to(COPY_LOOP)
        return path


@unittest.skipUnless(os.geteuid() == 0, 'needs root, to start executors as other users')
class Stacks(unittest.TestCase):
    def setUp(self):
        self.place = Place()
        self.addCleanup(self.place.temporary.cleanup)

    @contextlib.contextmanager
    def stack(self, *worker_options, **more):
        with WorkerStack('--tenant-per-program', 'yes', worker_options=worker_options, **more) as stack:
            yield stack

    @contextlib.contextmanager
    def running(self, stack, name, mediator=None):
        """The executor of a program that runs meanwhile."""
        known = set(self.executors(stack, name))
        program = (mediator or stack.mediator).spawn(self.place.program(name))
        try:
            line = program.stdout.readline()
            self.assertEqual(line, 'copying\n', f'{stack.worker.text()[-3000:]}\n{stack.mediator.text()[-3000:]}')
            executor, = set(self.executors(stack, name)) - known
            yield executor
        finally:
            program.kill()
            program.communicate()
        wait_until(lambda: not Path(f'/proc/{executor}').exists(), 'its executor ends')

    @staticmethod
    def executors(stack, name):
        return [int(found) for found in re.findall(rf' program:{name}: executor pid (\d+)', stack.worker.text())]

    def idle(self, stack):
        wait_until(lambda: not stack.worker.children(), 'the worker has no process left')


class Users(Stacks):
    def test_each_tenant(self):
        """Executors of one tenant have one user, of two tenants two, and neither can touch the other's."""
        with self.stack(*self.place.users(2)) as stack:
            with self.running(stack, 'one') as first, self.running(stack, 'one') as again, \
                    self.running(stack, 'two') as other:
                self.assertEqual({user_of(first), user_of(other)}, {FIRST, FIRST + 1})
                self.assertEqual(user_of(first), user_of(again))
                for process in (first, again, other):
                    self.assertEqual(status_of(process, 'CapPrm'), ['0' * 16])
                    self.assertEqual(status_of(process, 'Groups')[0].split(), [str(NOBODY)])
                self.assertEqual(as_user(user_of(other), lambda: harm(first)), 0)
                self.assertEqual(as_user(user_of(first), lambda: harm(other)), 0)
                # Who reads what comes over the network is another one, and can do no more.
                for process in stack.worker.channels():
                    self.assertEqual(user_of(process), NOBODY)
                    self.assertEqual(status_of(process, 'CapPrm'), ['0' * 16])
                    self.assertEqual(as_user(user_of(other), lambda: harm(process)), 0)
                self.assertEqual(as_user(NOBODY, lambda: harm(first)), 0)
                # There are two users only.
                refused = stack.mediator.run(self.place.program('three'))
                self.assertNotEqual(refused.returncode, 0)
                self.assertIn('program:three of ', stack.worker.text())
                self.assertIn('no user is left for its executors', stack.worker.text())
            self.idle(stack)
            # What has ended gives its user back.
            with self.running(stack, 'three') as third:
                self.assertIn(user_of(third), (FIRST, FIRST + 1))
            self.idle(stack)

    def test_one_user(self):
        """Without a range: all executors have the common one."""
        with self.stack(*self.place.options) as stack:
            with self.running(stack, 'one') as first, self.running(stack, 'two') as other:
                self.assertEqual({user_of(first), user_of(other)}, {NOBODY})
            self.idle(stack)

    def test_hosts(self):
        """Tenants of one name, of two hosts, are two: users and folders."""
        authority = Authority(self.place.path)
        with self.stack(*self.place.users(4), '--compute-cache', str(self.place.cache),
                        worker_credentials=authority.worker(),
                        mediator_credentials=authority.host()) as stack, \
                Mediator('--tenant-per-program', 'yes', '--worker', f'A=127.0.0.1:{stack.worker.port}',
                         '--worker-credentials', str(authority.host('elsewhere'))) as elsewhere, \
                self.running(stack, 'one') as here, self.running(stack, 'one', elsewhere) as there:
            self.assertEqual(len({user_of(here), user_of(there)}), 2)
            folders = {environment_of(process)['CUDA_CACHE_PATH'] for process in (here, there)}
            self.assertEqual(len(folders), 2)
            self.assertEqual({os.stat(folder).st_uid for folder in folders}, {user_of(here), user_of(there)})

    def test_end_of_the_connection(self):
        """An executor that does nothing more ends with its connection's process, which is not its parent."""
        with self.stack(*self.place.users(2)) as stack:
            with self.running(stack, 'one') as executor:
                os.kill(executor, signal.SIGSTOP)
                os.kill(stack.worker.channels()[0], signal.SIGKILL)
                wait_until(lambda: not Path(f'/proc/{executor}').exists(), 'the executor is killed')
            self.idle(stack)

    def test_end_of_the_worker(self):
        with self.stack(*self.place.users(2)) as stack, self.running(stack, 'one') as executor:
            channel = stack.worker.channels()[0]
            os.kill(executor, signal.SIGSTOP)
            stack.worker.stop(signal.SIGKILL)
            for process in executor, channel:
                wait_until(lambda: not Path(f'/proc/{process}').exists() or 'zombie' in status_of(process, 'State')[0],
                           'nothing of it is left')

    def test_settings_that_cannot_be(self):
        key = psk_write(self.place.path / 'key.psk')
        for options, reason in ((('--executor-users-first', '10'), '10 to 4105 are no users for executors'),
                                (('--executor-users-first', '4294967295'), 'are no users for executors'),
                                (('--executor-users-count', '0'), 'is no number from 1 to'),
                                (('--executor-users-first', 'x'), 'is no number from 0 to'),
                                (('--executor-user', 'no-such-user'), 'there is no user "no-such-user"'),
                                (('--compute-cache', 'here'), 'is no absolute path'),
                                (('--compute-cache-mib', '4096'), 'is no number from 1 to 4095')):
            with self.subTest(options), self.assertRaisesRegex(AssertionError, reason):
                Worker(self.place.path, key, *options).start()


class Caches(Stacks):
    """What is kept between two programs of a tenant."""

    def stack(self, *worker_options, **more):
        return super().stack(*worker_options, '--compute-cache', str(self.place.cache), **more)

    def folder(self, executor):
        environment = environment_of(executor)
        self.assertEqual(environment['CUDA_CACHE_MAXSIZE'], str(256 << 20))
        return Path(environment['CUDA_CACHE_PATH'])

    def use(self, executor):
        """What the driver does there, and another tenant's cannot: True."""
        folder, user = self.folder(executor), user_of(executor)

        def write():
            (folder / 'code').write_text('code')
            return 0
        self.assertEqual(as_user(user, write), 0)
        self.assertNotEqual(as_user(user + 1, write), 0)
        status = os.lstat(folder)
        self.assertTrue(stat.S_ISDIR(status.st_mode))
        self.assertEqual((stat.S_IMODE(status.st_mode), status.st_uid), (0o700, user))
        return user

    def test_folders(self):
        with self.stack(*self.place.users(3)) as stack:
            for name in 'one', 'two':
                with self.running(stack, name) as executor:
                    self.use(executor)
                    self.assertRegex(self.folder(executor).name, rf'^{MACHINE}-program-{name}$')
                self.idle(stack)
            self.assertEqual(len(list(self.place.cache.iterdir())), 2)
            self.assertEqual(stat.S_IMODE(self.place.cache.stat().st_mode), 0o711)

    def test_user_stays_with_the_folder(self):
        """A tenant that comes back gets its user again, also from the next service, and nobody else what he has."""
        users = {}
        for _ in range(2):
            with self.stack(*self.place.users(3)) as stack:
                for name in 'two', 'one', 'two', 'one':
                    with self.running(stack, name) as executor:
                        self.assertEqual(self.use(executor), users.setdefault(name, user_of(executor)))
                    self.idle(stack)
        # Nobody is without a folder: one of the two loses his.
        with self.stack(*self.place.users(3)) as stack:
            with self.running(stack, 'three') as executor:
                kept = [name for name, user in users.items() if user != user_of(executor)]
                self.assertFalse((self.folder(executor) / 'code').exists())
            self.assertEqual(len(kept), 1)
            wait_until(lambda: sorted(path.name.split('-')[-1] for path in self.place.cache.iterdir()) ==
                       sorted(['three', *kept]), 'the other folder is removed')
            self.idle(stack)

    def test_own_variables_count_less(self):
        with self.stack(*self.place.options, worker_environment={'CUDA_CACHE_PATH': '/somewhere',
                                                                 'CUDA_CACHE_MAXSIZE': '5'}) as stack, \
                self.running(stack, 'one') as executor:
            self.assertRegex(self.folder(executor).name, MACHINE)

    def test_tenant_that_does_not_last(self):
        """Its host says so: the next one of the name is another."""
        authority = Authority(self.place.path)
        context = ssl.create_default_context(cafile=authority.certificate)
        context.load_cert_chain(authority.host())
        with self.stack(*self.place.users(2), worker_credentials=authority.worker()) as stack:
            plain = socket.create_connection(('127.0.0.1', stack.worker.port))
            with context.wrap_socket(plain, server_hostname='127.0.0.1') as peer:
                peer.settimeout(60)
                peer.sendall(open_frame())
                data = b''
                while STATUS not in [kind for kind, _ in frames(data)]:
                    got = peer.recv(1 << 16)
                    self.assertTrue(got, stack.worker.text())
                    data += got
                executor = re.findall(r' vm:7: executor pid (\d+)', stack.worker.text())[-1]
                self.assertNotIn('CUDA_CACHE_PATH', environment_of(executor))
                self.assertIn(user_of(executor), (FIRST, FIRST + 1))

    def test_directory_that_cannot_be_used(self):
        self.place.cache.mkdir()
        self.place.cache.chmod(0o777)
        with self.stack(*self.place.options) as stack:
            for _ in range(2):
                with self.running(stack, 'one') as executor:
                    self.assertNotIn('CUDA_CACHE_PATH', environment_of(executor))
            self.assertEqual(stack.worker.text().count('there is no compute cache'), 1)
        self.assertEqual(list(self.place.cache.iterdir()), [])


if __name__ == '__main__':
    tap.main()
