/* SPDX-License-Identifier: Apache-2.0 */
#include "grants_domain.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "grants_map.h"

/* The channel's first page, which has what the two sides say of their ends. */
static const char *head_open(struct grants_channel *channel, const struct vgpu_grants_request *request,
			     struct vgpu_grants_head *ret_head)
{
	struct grants_domain *domain = channel->domain;
	const char *problem;
	char *page;

	if (grants_map_add(domain->own_grants, domain->domain, &request->reference, 1, &channel->head_offset))
		return "the host cannot map the first page";
	page = mmap(NULL, VGPU_GRANTS_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, domain->own_grants,
		    (off_t)channel->head_offset);
	if (page == MAP_FAILED) {
		problem = "the first page's grant is none";
		goto remove;
	}
	memcpy(ret_head, page + VGPU_GRANTS_HEAD_OFFSET, sizeof(*ret_head));
	problem = grants_head_check(ret_head, request);
	if (problem)
		goto unmap;
	channel->head = (volatile struct vgpu_grants_head *)(page + VGPU_GRANTS_HEAD_OFFSET);
	return NULL;
unmap:
	munmap(page, VGPU_GRANTS_PAGE_BYTES);
remove:
	grants_map_remove(domain->own_grants, channel->head_offset, 1);
	return problem;
}

static void head_close(struct grants_channel *channel)
{
	char *page = (char *)(uintptr_t)channel->head - VGPU_GRANTS_HEAD_OFFSET;

	munmap(page, VGPU_GRANTS_PAGE_BYTES);
	grants_map_remove(channel->domain->own_grants, channel->head_offset, 1);
	channel->head = NULL;
}

/* Names all pages to the file that executors map; none of them is mapped here. */
static const char *pages_open(struct grants_channel *channel, const struct vgpu_grants_request *request,
			      const struct vgpu_grants_head *head)
{
	struct grants_domain *domain = channel->domain;
	uint32_t *references = calloc(request->pages, sizeof(*references));
	const char *problem = NULL;

	if (!references)
		return "the host is out of memory";
	if (grants_map_table_read(domain->own_grants, domain->domain, head->table, request, references))
		problem = "the table's grants are none";
	else if (grants_map_add(domain->grants, domain->domain, references, request->pages, &channel->offset))
		problem = "the host cannot map so many grants";
	free(references);
	return problem;
}

static const char *port_open(struct grants_channel *channel)
{
	struct grants_domain *domain = channel->domain;
	uint64_t place = channel->head_offset + VGPU_GRANTS_HEAD_OFFSET + offsetof(struct vgpu_grants_head, host_lives);
	xenevtchn_port_or_error_t port =
		xenevtchn_bind_interdomain(domain->events, domain->domain, channel->guest_port);

	if (port < 0)
		return "the event channel is none";
	channel->port = (evtchn_port_t)port;
	if (grants_map_notify(domain->own_grants, place, channel->port)) {
		xenevtchn_unbind(domain->events, channel->port);
		return "the host cannot announce its end";
	}
	return NULL;
}

/* The executor has something for the guest. */
static void interrupt_relay(evutil_socket_t descriptor, short what, void *argument)
{
	struct grants_channel *channel = argument;
	uint64_t count;
	struct iovec part = {.iov_base = &count, .iov_len = sizeof(count)};
	ssize_t got = preadv2(descriptor, &part, 1, -1, RWF_NOWAIT);

	(void)what;
	/* Linux before 5.8: it waits if an executor wants it to. */
	if (got < 0 && errno == EOPNOTSUPP)
		got = read(descriptor, &count, sizeof(count));
	if (got == sizeof(count))
		xenevtchn_notify(channel->domain->events, channel->port);
}

static const char *eventfds_open(struct grants_channel *channel)
{
	channel->doorbell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	channel->interrupt = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (channel->interrupt >= 0)
		channel->interrupted = event_new(channel->domain->base, channel->interrupt, EV_READ | EV_PERSIST,
						 interrupt_relay, channel);
	if (channel->doorbell >= 0 && channel->interrupted && event_add(channel->interrupted, NULL) == 0)
		return NULL;
	return "the host is out of descriptors";
}

static void eventfds_close(struct grants_channel *channel)
{
	if (channel->interrupted)
		event_free(channel->interrupted);
	if (channel->interrupt >= 0)
		close(channel->interrupt);
	if (channel->doorbell >= 0)
		close(channel->doorbell);
	channel->interrupted = NULL;
	channel->interrupt = channel->doorbell = -1;
}

const char *grants_parts_open(struct grants_channel *channel, const struct vgpu_grants_request *request)
{
	struct vgpu_grants_head head;
	const char *problem = head_open(channel, request, &head);

	if (problem)
		return problem;
	problem = pages_open(channel, request, &head);
	if (problem)
		goto close_head;
	problem = port_open(channel);
	if (problem)
		goto close_pages;
	problem = eventfds_open(channel);
	if (problem)
		goto close_eventfds;
	/* An end before the port was bound has sent no event here. */
	if (channel->head->guest_lives != VGPU_GRANTS_LIVES) {
		problem = "the process has ended";
		goto close_eventfds;
	}
	return NULL;

close_eventfds:
	eventfds_close(channel);
	xenevtchn_unbind(channel->domain->events, channel->port);
close_pages:
	grants_map_remove(channel->domain->grants, channel->offset, request->pages);
close_head:
	head_close(channel);
	return problem;
}

void grants_parts_close(struct grants_channel *channel)
{
	struct grants_domain *domain = channel->domain;

	eventfds_close(channel);
	grants_map_remove(domain->grants, channel->offset, domain->pages);
	/* Before the port, by which the guest is told. */
	head_close(channel);
	xenevtchn_unbind(domain->events, channel->port);
}
