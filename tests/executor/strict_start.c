/* SPDX-License-Identifier: Apache-2.0 */
/* What the strict driver does and tries at its start, within the executor's sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "strict_driver.h"

bool strict_reaches_host;

/* As NVIDIA's driver 580 does in cuInit, which fails without it. */
static CUresult socket_make(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "strict-driver-%d", (int)getpid());
	if (made < 0 || bind(made, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(made, 1) < 0)
		return CUDA_ERROR_OPERATING_SYSTEM;
	return CUDA_SUCCESS;
}

/* What the kernel would do for it to others: to the owner of a descriptor, to a log's socket. */
static void descriptors_check(void)
{
	int pair[2];
	int datagrams = socket(AF_UNIX, SOCK_DGRAM, 0);
	int number = 0;

	if (datagrams >= 0)
		strict_misuse("datagrams can be sent");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0) {
		strict_misuse("the sandbox allows no sockets");
		return;
	}
	/* NVML does that with its devices (measured, driver 580). */
	if (fcntl(pair[0], F_SETFL, 0) < 0)
		strict_misuse("the sandbox keeps descriptors from blocking");
	if (syscall(SYS_fcntl, pair[0], F_SETSIG | 1l << 32, (long)SIGKILL) == 0 ||
	    fcntl(pair[0], F_SETOWN, getppid()) == 0 || fcntl(pair[0], F_SETSIG, SIGKILL) == 0 ||
	    fcntl(pair[0], F_SETFL, O_NONBLOCK | O_ASYNC) == 0 || ioctl(pair[0], FIOASYNC, &number) == 0)
		strict_misuse("another process could be signalled by a descriptor");
	close(pair[0]);
	close(pair[1]);
}

/* What a driver that a guest has taken over may not do to others. */
static void sandbox_check(void)
{
	struct rlimit limit;
	pid_t child;

	/* Without one, where what runs the tests has a filter of its own (a container). */
	if (prctl(PR_GET_SECCOMP) != 2 || getenv("VGPU_TEST_NO_SANDBOX"))
		return;
	child = fork();
	if (child == 0)
		_exit(0);
	if (child > 0)
		strict_misuse("another process could be made");
	if (kill(getppid(), 0) == 0 || errno != EPERM)
		strict_misuse("another process could be signalled");
	if (prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit) == 0)
		strict_misuse("another process's limits could be changed");
	if (kill(getpid(), 0) < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		strict_misuse("the sandbox keeps the process from itself");
	descriptors_check();
}

/* What the driver does in its compute cache. */
static void files_check(void)
{
	char folder[] = "/tmp/strict-driver-XXXXXX";
	char made[64];
	char renamed[64];
	int file;

	if (!mkdtemp(folder)) {
		strict_misuse("the sandbox lets no folder be made");
		return;
	}
	snprintf(made, sizeof(made), "%s/made", folder);
	snprintf(renamed, sizeof(renamed), "%s/renamed", folder);
	file = open(made, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0 || flock(file, LOCK_EX) < 0 || lockf(file, F_LOCK, 0) < 0 || write(file, "code", 4) != 4 ||
	    ftruncate(file, 2) < 0 || fchmod(file, 0644) < 0 || rename(made, renamed) < 0 || unlink(renamed) < 0 ||
	    rmdir(folder) < 0)
		strict_misuse("the sandbox keeps files from being made, locked, renamed or removed");
	if (file >= 0)
		close(file);
}

/* As NVIDIA's driver does: the executor is to say that kernels are not to reach its memory (host/executor/uvm.h). */
static void uvm_start(void)
{
	struct {
		uint64_t flags;
		uint32_t status;
	} initialize = {.flags = 0x2};

	/* Nobody is behind it, but the flags can be seen. */
	ioctl(-1, 0x30000001ul, &initialize);
	strict_reaches_host = !(initialize.flags & 0x1) || !(initialize.flags & 0x2);
}

CUresult strict_start(void)
{
	CUresult result = socket_make();

	sandbox_check();
	files_check();
	uvm_start();
	return result;
}
