/* SPDX-License-Identifier: Apache-2.0 */
/* The PCI device in a virtual machine, through vgpu.ko (vgpu_uapi.h). */
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vgpu_channel.h"
#include "vgpu_uapi.h"

struct pci_transport {
	struct transport base;
	int fd;
	volatile uint32_t *doorbell; /* a page of the device's registers */
	size_t doorbell_bytes;
};

static struct pci_transport *pci_of(struct transport *transport)
{
	return (struct pci_transport *)transport;
}

static void pci_ring(struct transport *transport)
{
	*pci_of(transport)->doorbell = 1;
}

static enum transport_event pci_wait(struct transport *transport, int timeout_ms)
{
	struct pollfd poller = {.fd = pci_of(transport)->fd, .events = POLLIN};
	uint64_t count;

	if (poll(&poller, 1, timeout_ms) <= 0)
		return TRANSPORT_TIMEOUT; /* a signal as well: the caller looks again */
	if (poller.revents & (POLLHUP | POLLERR | POLLNVAL))
		return TRANSPORT_LOST;
	if (read(poller.fd, &count, sizeof(count)) < 0 && errno == EPIPE)
		return TRANSPORT_LOST;
	return TRANSPORT_INTERRUPT;
}

static int pci_pass(struct transport *transport, int fd)
{
	(void)transport;
	(void)fd;
	errno = EOPNOTSUPP;
	return -1;
}

static void *pci_map(struct transport *transport, size_t offset, size_t bytes)
{
	void *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, pci_of(transport)->fd, (off_t)offset);

	return mapping == MAP_FAILED ? NULL : mapping;
}

static void pci_close(struct transport *transport)
{
	struct pci_transport *pci = pci_of(transport);

	if (pci->doorbell)
		munmap((void *)pci->doorbell, pci->doorbell_bytes);
	if (pci->base.memory)
		munmap(pci->base.memory, pci->base.bytes);
	if (pci->fd >= 0)
		close(pci->fd);
	pci->doorbell = NULL;
	pci->base.memory = NULL;
	pci->fd = -1;
}

static const struct transport_operations pci_operations = {
	.ring = pci_ring,
	.wait = pci_wait,
	.pass = pci_pass,
	.map = pci_map,
	.close = pci_close,
};

static void open_failure(struct transport_failure *failure, const char *path, int error)
{
	switch (error) {
	case ENODEV:
		transport_failure_set(failure, VGPU_ERROR_NO_MEDIATOR, "%s: no mediator on the host", path);
		break;
	case EBUSY:
		transport_failure_set(failure, VGPU_ERROR_REFUSED,
				      "%s: every channel of the device is in use by other processes", path);
		break;
	case ETIMEDOUT:
		transport_failure_set(failure, VGPU_ERROR_START_TIMEOUT, "%s: the host did not answer in time", path);
		break;
	case EPERM:
		transport_failure_set(failure, VGPU_ERROR_REFUSED,
				      "%s: the host refuses this VM's programs (quarantine, a limit, or its pool); its "
				      "log has the reason",
				      path);
		break;
	case ENOMEM:
		transport_failure_set(failure, VGPU_ERROR_NO_MEMORY, "%s: the host, or this VM, is out of memory",
				      path);
		break;
	case EIO:
		transport_failure_set(failure, VGPU_ERROR_NO_DRIVER,
				      "%s: the host refused; the kernel log has the reason", path);
		break;
	default:
		transport_failure_set(failure, VGPU_ERROR_NO_MEDIATOR, "%s: %s", path, strerror(error));
	}
}

struct transport *transport_open_pci(const char *path, struct transport_failure *ret_failure)
{
	struct pci_transport *pci = calloc(1, sizeof(*pci));
	struct vgpu_ioctl_info info;
	void *mapping;

	if (!pci) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEMORY, "out of memory");
		return NULL;
	}
	pci->base.operations = &pci_operations;
	pci->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (pci->fd < 0) {
		open_failure(ret_failure, path, errno);
		goto failed;
	}
	if (ioctl(pci->fd, VGPU_IOCTL_INFO, &info) < 0) {
		transport_failure_set(ret_failure, VGPU_ERROR_VERSION, "%s: %s", path, strerror(errno));
		goto failed;
	}
	if (info.version >> 16 != VGPU_PROTOCOL_MAJOR || info.channel_bytes < VGPU_CHANNEL_BYTES_MIN ||
	    info.channel_bytes > SIZE_MAX / 2) {
		transport_failure_set(ret_failure, VGPU_ERROR_VERSION, "%s: device of version %u.%u, library of %u.%u",
				      path, info.version >> 16, info.version & 0xffff, VGPU_PROTOCOL_MAJOR,
				      VGPU_PROTOCOL_MINOR);
		goto failed;
	}
	mapping = mmap(NULL, info.channel_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, pci->fd, 0);
	if (mapping == MAP_FAILED)
		goto failed_mapping;
	pci->base.memory = mapping;
	pci->base.bytes = info.channel_bytes;
	pci->doorbell_bytes = (size_t)sysconf(_SC_PAGESIZE);
	mapping = mmap(NULL, pci->doorbell_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, pci->fd, VGPU_MMAP_DOORBELL);
	if (mapping == MAP_FAILED)
		goto failed_mapping;
	pci->doorbell = mapping;
	return &pci->base;

failed_mapping:
	transport_failure_set(ret_failure, VGPU_ERROR_NO_MEMORY, "%s: cannot map the channel: %s", path,
			      strerror(errno));
failed:
	pci_close(&pci->base);
	free(pci);
	return NULL;
}
