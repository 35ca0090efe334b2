/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that this process grants to Xen's dom0, and an event channel (vgpu_xen_grants.h). */
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "vgpu_xen_grants.h"
#include "xen_devices.h"
#include "xenbus.h"

#define GRANTS_DEVICE "/dev/xen/gntalloc"
#define EVENTS_DEVICE "/dev/xen/evtchn"
#define BACKEND	      0 /* dom0 */

/* The mediator has its own limit for an executor's start; this one only ends a wait for a stopped host. */
#define START_TIMEOUT_S 180

/* How long the end of the program may wait for the executor's. */
#define LEAVE_TIMEOUT_S 5

struct xen_transport {
	struct transport base;
	int grants;
	int events;
	struct xenbus store;
	uint32_t port;
	struct vgpu_grants_offer offer;
	struct vgpu_grants_head *head; /* in the channel's memory */
	pid_t process;		       /* whose it is: a child of it has nothing to say */
};

static struct xen_transport *opened; /* a process has one */

static struct xen_transport *xen_of(struct transport *transport)
{
	return (struct xen_transport *)transport;
}

static void xen_ring(struct transport *transport)
{
	struct evtchn_notify notify = {.port = xen_of(transport)->port};

	/* It fails only when the other end is gone. */
	ioctl(xen_of(transport)->events, EVTCHN_NOTIFY, &notify);
}

static bool host_lives(const struct xen_transport *xen)
{
	return __atomic_load_n(&xen->head->host_lives, __ATOMIC_ACQUIRE) == VGPU_GRANTS_LIVES;
}

/* Takes an event, if there is one; the port stays masked until it is written back. */
static bool event_take(struct xen_transport *xen)
{
	uint32_t port;

	if (read(xen->events, &port, sizeof(port)) != sizeof(port))
		return false;
	return write(xen->events, &port, sizeof(port)) == sizeof(port);
}

/* Whether the offer is still the one that the channel was opened by. */
static bool offer_stands(struct xen_transport *xen)
{
	char value[VGPU_GRANTS_TEXT_BYTES];
	struct vgpu_grants_offer offer;
	int length = xenbus_read(&xen->store, "data/" VGPU_GRANTS_OFFER, value, sizeof(value));

	return length >= 0 && grants_offer_parse(value, (size_t)length, &offer) &&
	       offer.instance == xen->offer.instance;
}

static enum transport_event xen_wait(struct transport *transport, int timeout_ms)
{
	struct xen_transport *xen = xen_of(transport);
	struct pollfd pollers[] = {
		{.fd = xen->events, .events = POLLIN},
		{.fd = xen->store.fd, .events = POLLIN},
	};
	bool is_lost = !host_lives(xen);

	if (poll(pollers, 2, is_lost ? 0 : timeout_ms) < 0)
		return TRANSPORT_TIMEOUT;
	/* Replies that came before a loss are still delivered. */
	if ((pollers[0].revents & POLLIN) && event_take(xen))
		return TRANSPORT_INTERRUPT;
	/* The guest may have moved to another host, where no event says that the channel is lost. */
	if (!is_lost && pollers[1].revents)
		is_lost = (pollers[1].revents & POLLIN) == 0 ||
			  (xenbus_changed_take(&xen->store, 0) && !offer_stands(xen));
	if (!is_lost)
		return TRANSPORT_TIMEOUT;
	xen->base.lost_error = (enum vgpu_channel_error)__atomic_load_n(&xen->head->lost_error, __ATOMIC_RELAXED);
	return TRANSPORT_LOST;
}

static int xen_pass(struct transport *transport, int fd)
{
	(void)transport;
	(void)fd;
	errno = EOPNOTSUPP;
	return -1;
}

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* Lets the host go first, so that the kernel can free the memory at once. */
static void host_leave(struct xen_transport *xen)
{
	time_t end = now_s() + LEAVE_TIMEOUT_S;

	if (!xen->base.memory || xen->process != getpid())
		return;
	__atomic_store_n(&xen->head->guest_lives, VGPU_GRANTS_LEAVES, __ATOMIC_RELEASE);
	xen_ring(&xen->base);
	while (host_lives(xen) && now_s() < end) {
		struct pollfd poller = {.fd = xen->events, .events = POLLIN};

		/* Another thread may take the event. */
		poll(&poller, 1, 50);
		event_take(xen);
	}
}

__attribute__((destructor)) static void process_end(void)
{
	if (opened)
		host_leave(opened);
}

/* Without host_leave() too the kernel tells the host when the memory is gone, and ends the grants. */
static void xen_close(struct transport *transport)
{
	struct xen_transport *xen = xen_of(transport);

	host_leave(xen);
	if (xen->base.memory)
		munmap(xen->base.memory, xen->base.bytes);
	if (xen->grants >= 0)
		close(xen->grants);
	if (xen->events >= 0)
		close(xen->events);
	xenbus_close(&xen->store);
	xen->base.memory = NULL;
	xen->grants = xen->events = -1;
	if (opened == xen)
		opened = NULL;
}

static const struct transport_operations xen_operations = {
	.ring = xen_ring,
	.wait = xen_wait,
	.pass = xen_pass,
	.close = xen_close,
};

static int offer_find(struct xen_transport *xen, struct transport_failure *ret_failure)
{
	char value[VGPU_GRANTS_TEXT_BYTES];
	int length;

	if (xenbus_open(&xen->store) < 0) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEDIATOR, "/dev/xen/xenbus: %s", strerror(errno));
		return -1;
	}
	length = xenbus_read(&xen->store, "data/" VGPU_GRANTS_OFFER, value, sizeof(value));
	if (length < 0) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEDIATOR,
				      "no channels are offered to this guest of Xen: %s", strerror(errno));
		return -1;
	}
	if (!grants_offer_parse(value, (size_t)length, &xen->offer) || xen->offer.version != VGPU_GRANTS_VERSION) {
		transport_failure_set(ret_failure, VGPU_ERROR_VERSION, "the host offers channels of another version");
		return -1;
	}
	return 0;
}

/* The channel's memory; 'ret_references' has one grant a page. */
static int memory_grant(struct xen_transport *xen, uint32_t **ret_references, struct transport_failure *ret_failure)
{
	uint32_t pages = xen->offer.pages;
	struct ioctl_gntalloc_alloc_gref *allocation = malloc(sizeof(*allocation) + pages * sizeof(uint32_t));
	uint32_t *references = malloc(pages * sizeof(*references));
	size_t bytes = (size_t)pages * VGPU_GRANTS_PAGE_BYTES;
	void *memory;

	if (!allocation || !references) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEMORY, "out of memory");
		goto failed;
	}
	xen->grants = open(GRANTS_DEVICE, O_RDWR | O_CLOEXEC);
	if (xen->grants < 0) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEDIATOR, GRANTS_DEVICE ": %s", strerror(errno));
		goto failed;
	}
	*allocation =
		(struct ioctl_gntalloc_alloc_gref){.domid = BACKEND, .flags = GNTALLOC_FLAG_WRITABLE, .count = pages};
	if (ioctl(xen->grants, IOCTL_GNTALLOC_ALLOC_GREF, allocation) < 0) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEMORY, "cannot grant %" PRIu32 " pages: %s%s", pages,
				      strerror(errno),
				      errno == ENOSPC ? "; raise the parameter 'limit' of the module xen-gntalloc"
						      : "");
		goto failed;
	}
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, xen->grants, (off_t)allocation->index);
	if (memory == MAP_FAILED) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEMORY, "cannot map the channel: %s", strerror(errno));
		goto failed;
	}
	memcpy(references, (const char *)allocation + offsetof(struct ioctl_gntalloc_alloc_gref, gref_ids),
	       pages * sizeof(*references));
	xen->base.memory = memory;
	xen->base.bytes = bytes;
	xen->head = (struct vgpu_grants_head *)((char *)memory + VGPU_GRANTS_HEAD_OFFSET);
	free(allocation);
	*ret_references = references;
	return 0;
failed:
	free(references);
	free(allocation);
	return -1;
}

/* The event channel, and the kernel's word of the end of this process on it. */
static int events_open(struct xen_transport *xen, struct transport_failure *ret_failure)
{
	struct evtchn_bind_unbound_port bind = {.remote_domain = BACKEND};
	/* The memory's only allocation: it begins at the file's beginning. */
	struct ioctl_gntalloc_unmap_notify notify = {
		.index = VGPU_GRANTS_HEAD_OFFSET + offsetof(struct vgpu_grants_head, guest_lives),
		.action = UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT,
	};
	int port;

	xen->events = open(EVENTS_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (xen->events < 0) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEDIATOR, EVENTS_DEVICE ": %s", strerror(errno));
		return -1;
	}
	port = ioctl(xen->events, EVTCHN_BIND_UNBOUND_PORT, &bind);
	if (port > 0) {
		xen->port = (uint32_t)port;
		notify.event_channel_port = xen->port;
	}
	if (port <= 0 || ioctl(xen->grants, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &notify) < 0) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEMORY, "no event channel: %s", strerror(errno));
		return -1;
	}
	return 0;
}

static void head_write(struct xen_transport *xen, const uint32_t *references, uint64_t nonce)
{
	struct vgpu_grants_head *head = xen->head;
	uint32_t *table = (uint32_t *)((char *)xen->base.memory + VGPU_GRANTS_PAGE_BYTES);

	*head = (struct vgpu_grants_head){
		.magic = VGPU_GRANTS_MAGIC,
		.version = VGPU_GRANTS_VERSION,
		.nonce = nonce,
		.pages = xen->offer.pages,
		.table_pages = grants_table_pages(xen->offer.pages),
		.guest_lives = VGPU_GRANTS_LIVES,
	};
	memcpy(head->table, references + 1, head->table_pages * sizeof(*references));
	memcpy(table, references, xen->offer.pages * sizeof(*references));
}

static void path_make(const struct xen_transport *xen, const char *node, char path[64])
{
	snprintf(path, 64, "data/" VGPU_GRANTS_CHANNEL "/%" PRIu32 "%s%s", xen->port, *node ? "/" : "", node);
}

static int request_send(struct xen_transport *xen, const struct vgpu_grants_request *request,
			struct transport_failure *ret_failure)
{
	char text[VGPU_GRANTS_TEXT_BYTES];
	char path[64];

	path_make(xen, VGPU_GRANTS_ANSWER, path);
	if (xenbus_watch(&xen->store, path) < 0 || xenbus_watch(&xen->store, "data/" VGPU_GRANTS_OFFER) < 0)
		goto failed;
	grants_request_print(request, text);
	path_make(xen, VGPU_GRANTS_REQUEST, path);
	if (xenbus_write(&xen->store, path, text) < 0)
		goto failed;
	return 0;
failed:
	transport_failure_set(ret_failure, VGPU_ERROR_NO_MEMORY, "XenStore: %s", strerror(errno));
	return -1;
}

static int answer_take(const struct vgpu_grants_answer *answer, struct transport_failure *ret_failure)
{
	uint32_t error = answer->error;

	if (answer->state == VGPU_CHANNEL_READY)
		return 0;
	if (error == VGPU_ERROR_NONE || error > VGPU_ERROR_START_TIMEOUT)
		error = VGPU_ERROR_REFUSED;
	transport_failure_set(ret_failure, (enum vgpu_channel_error)error, "the host refused: %.200s",
			      answer->text[0] ? answer->text : "no reason given");
	return -1;
}

static int answer_await(struct xen_transport *xen, uint64_t nonce, struct transport_failure *ret_failure)
{
	time_t end = now_s() + START_TIMEOUT_S;
	char path[64];

	path_make(xen, VGPU_GRANTS_ANSWER, path);
	while (now_s() < end) {
		char value[VGPU_GRANTS_TEXT_BYTES];
		struct vgpu_grants_answer answer;
		int length;

		if (!xenbus_changed_take(&xen->store, 1000))
			continue;
		length = xenbus_read(&xen->store, path, value, sizeof(value));
		if (length >= 0 && grants_answer_parse(value, (size_t)length, &answer) && answer.nonce == nonce)
			return answer_take(&answer, ret_failure);
		if (!offer_stands(xen)) {
			transport_failure_set(ret_failure, VGPU_ERROR_NO_MEDIATOR, "the host has taken its offer back");
			return -1;
		}
	}
	transport_failure_set(ret_failure, VGPU_ERROR_START_TIMEOUT, "the host does not answer");
	return -1;
}

struct transport *transport_open_xen(struct transport_failure *ret_failure)
{
	struct xen_transport *xen = calloc(1, sizeof(*xen));
	struct vgpu_grants_request request;
	uint32_t *references = NULL;
	char path[64];

	if (!xen) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEMORY, "out of memory");
		return NULL;
	}
	xen->base.operations = &xen_operations;
	xen->grants = xen->events = xen->store.fd = -1;
	if (offer_find(xen, ret_failure) < 0 || memory_grant(xen, &references, ret_failure) < 0 ||
	    events_open(xen, ret_failure) < 0)
		goto failed;
	request = (struct vgpu_grants_request){
		.version = VGPU_GRANTS_VERSION,
		.instance = xen->offer.instance,
		.pages = xen->offer.pages,
		.reference = references[0],
	};
	if (getrandom(&request.nonce, sizeof(request.nonce), 0) != sizeof(request.nonce)) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEMORY, "no random number: %s", strerror(errno));
		goto failed;
	}
	head_write(xen, references, request.nonce);
	if (request_send(xen, &request, ret_failure) < 0)
		goto failed;
	if (answer_await(xen, request.nonce, ret_failure) < 0)
		goto failed_requested;
	free(references);
	xen->process = getpid();
	opened = xen;
	return &xen->base;

failed_requested:
	/* Also where the host has not taken it up yet, and would not be told of the end. */
	path_make(xen, "", path);
	xenbus_remove(&xen->store, path);
failed:
	free(references);
	xen_close(&xen->base);
	free(xen);
	return NULL;
}
