/* SPDX-License-Identifier: Apache-2.0 */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE_BYTES 4096u

/* Headers of older C libraries do not name them: Linux 5.11 and 6.1. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

static struct {
	pthread_once_t once;
	int fd;
	bool reaches_kernel;
} faults = {.once = PTHREAD_ONCE_INIT, .fd = -1};

/* Whoever may open the device file may have all faults caught. */
static int device_file_ask(void)
{
	int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	int fd;

	if (device < 0)
		return -1;
	fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC);
	close(device);
	return fd;
}

static int file_open(bool *ret_reaches_kernel)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		fd = device_file_ask();
	*ret_reaches_kernel = fd >= 0;
	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	return fd;
}

static void faults_begin(void)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};
	int fd = sysconf(_SC_PAGESIZE) == PAGE_BYTES ? file_open(&faults.reaches_kernel) : -1;

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) < 0) {
		close(fd);
		fd = -1;
	}
	faults.fd = fd;
}

bool faults_open(void)
{
	pthread_once(&faults.once, faults_begin);
	return faults.fd >= 0;
}

bool faults_reach_kernel(void)
{
	return faults.reaches_kernel;
}

static struct uffdio_range range_of(const void *memory, size_t bytes)
{
	return (struct uffdio_range){.start = (uintptr_t)memory, .len = bytes};
}

bool faults_watch(void *memory, size_t bytes)
{
	struct uffdio_register request = {
		.range = range_of(memory, bytes),
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};

	return ioctl(faults.fd, UFFDIO_REGISTER, &request) == 0;
}

bool faults_fill(void *memory, const void *from, size_t bytes, bool is_writable)
{
	size_t done = 0;

	while (done < bytes) {
		struct uffdio_copy request = {
			.dst = (uintptr_t)memory + done,
			.src = (uintptr_t)from + done,
			.len = bytes - done,
			.mode = is_writable ? 0 : UFFDIO_COPY_MODE_WP,
		};

		if (ioctl(faults.fd, UFFDIO_COPY, &request) == 0)
			return true;
		if (request.copy > 0)
			done += (size_t)request.copy;
		else if (errno == EEXIST)
			done += PAGE_BYTES;
		else if (errno != EAGAIN && errno != EINTR)
			return false;
	}
	faults_wake(memory, bytes);
	return true;
}

void faults_fill_zero(void *page, size_t bytes)
{
	struct uffdio_zeropage request = {.range = range_of(page, bytes)};

	if (ioctl(faults.fd, UFFDIO_ZEROPAGE, &request) < 0)
		faults_wake(page, bytes);
}

bool faults_protect(void *memory, size_t bytes, bool is_protected)
{
	struct uffdio_writeprotect request = {
		.range = range_of(memory, bytes),
		.mode = is_protected ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};
	int result;

	do {
		result = ioctl(faults.fd, UFFDIO_WRITEPROTECT, &request);
	} while (result < 0 && (errno == EAGAIN || errno == EINTR));
	return result == 0;
}

void faults_wake(void *memory, size_t bytes)
{
	struct uffdio_range request = range_of(memory, bytes);

	(void)ioctl(faults.fd, UFFDIO_WAKE, &request);
}

bool faults_next(struct fault *ret_fault)
{
	struct uffd_msg message;

	for (;;) {
		ssize_t bytes = read(faults.fd, &message, sizeof(message));

		if (bytes < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (bytes != sizeof(message))
			return false;
		if (message.event == UFFD_EVENT_PAGEFAULT)
			break;
	}
	*ret_fault = (struct fault){
		.address = message.arg.pagefault.address & ~(uint64_t)(PAGE_BYTES - 1),
		.is_write = message.arg.pagefault.flags & (UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP),
		.is_of_protection = message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP,
	};
	return true;
}
