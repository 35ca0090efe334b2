/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-xen-grants of one guest: between what a guest of Xen asks for in XenStore, its grants and its event channels on
 * one side, and the mediator on the other, to which it is a VM's device (vgpu_control.h, vgpu_xen_grants.h).
 *
 * Theory of operation.  The process opens gntdev, names the grants of a channel to it and hands the file to the
 * mediator; the executor maps them, so data never passes here.  What passes is wake-ups: an event of the guest's rings
 * the executor's doorbell, an interrupt of the executor's becomes an event.  It is one process for each guest, so that
 * a guest's can only reach that guest's channels.
 *
 * Invariants.  A channel that is not FREE has its grants in the files, a port, two eventfds and a request of the
 * guest's.  The mediator was told of it (OPENING, READY, CLOSING), until it says CLOSED or its connection is lost; only
 * then is the slot given back.  Of a channel only the first page is mapped here; it is in a file of its own, which
 * nobody else has, so that the kernel tells the guest when this process ends in any way.
 *
 * All of it runs on one thread, in libevent's loop; only xenstored is waited for. The guest is hostile: numbers of
 * XenStore's and of shared memory are copied, then checked, then used.
 */
#ifndef XEN_GRANTS_DOMAIN_H
#define XEN_GRANTS_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xenstore.h>

#include "grants_store.h"
#include "vgpu_control.h"

struct control_message;
struct event;
struct event_base;
struct grants_domain;

enum grants_stage { GRANTS_FREE, GRANTS_OPENING, GRANTS_READY, GRANTS_CLOSING };

struct grants_channel {
	struct grants_domain *domain;
	enum grants_stage stage;
	uint32_t generation;
	uint32_t guest_port;
	uint64_t nonce;
	bool is_refused;    /* the guest was answered FAILED: it removes the port's nodes when it has read that */
	evtchn_port_t port; /* ours, bound to the guest's */
	volatile struct vgpu_grants_head *head; /* in its first page */
	uint64_t head_offset;			/* of that page, in own_grants */
	uint64_t offset;			/* of all pages, in grants */
	int doorbell;				/* eventfds */
	int interrupt;
	struct event *interrupted;
};

struct grants_link {
	int socket; /* -1: not connected */
	bool is_accepted;
	unsigned wait_ticks; /* seconds before the next attempt, or for the answer */
	struct event *readable;
	char reported[256]; /* why it is not connected, as last logged */
};

struct grants_domain {
	/* Settings. */
	unsigned domain;
	uint32_t vm_id;
	uint32_t pool_id;
	uint32_t priority;
	uint32_t channel_count;
	uint32_t pages; /* of a channel */
	const char *socket_path;

	struct event_base *base;
	struct xs_handle *store;
	xc_interface *control;
	xenevtchn_handle *events;
	int grants;	/* gntdev, the mediator and executors have it too */
	int own_grants; /* gntdev, only here */
	struct grants_identity identity;
	uint64_t instance; /* of the present offer */
	struct grants_link link;
	struct grants_channel channels[VGPU_CHANNELS_MAX];
	time_t report_second; /* in which report_count lines were logged */
	unsigned report_count;
};

/* One line for the operator. A guest can cause some: they are limited. */
__attribute__((format(printf, 2, 3))) void grants_report(struct grants_domain *domain, const char *format, ...);

/* Serves the guest until it is gone (0), or it cannot be served or is not to be any more (1). */
int grants_serve(struct grants_domain *domain);

/* The link (grants_link.c). Never blocks. */
bool grants_link_start(struct grants_domain *domain);
/* False: the connection is lost. 'channel' with its descriptors for CHANNEL_OPEN. */
bool grants_link_send(struct grants_domain *domain, enum vgpu_control_type type, const struct grants_channel *channel);

/* The channels (grants_channel.c). */
/* The guest has changed a port's nodes. */
void grants_channel_look(struct grants_domain *domain, uint32_t guest_port);
/* The mediator's message; false: it makes no sense. */
bool grants_channel_message(struct grants_domain *domain, const struct control_message *message);
void grants_channel_event(struct grants_domain *domain, evtchn_port_t port);
/* The connection is lost, and with it all channels. */
void grants_channels_lose(struct grants_domain *domain);

/* Opening and giving back what a channel is made of (grants_parts.c). NULL, or a sentence why not; then nothing is
 * left. */
const char *grants_parts_open(struct grants_channel *channel, const struct vgpu_grants_request *request);
void grants_parts_close(struct grants_channel *channel);

#endif
