/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel whose memory a process in a guest of Xen grants to dom0: of a PV or PVH guest, which have no PCI device,
 * or of an HVM guest without one. Doorbell and interrupt are one event channel. It is opened through XenStore; the keys
 * are relative to the guest's own /local/domain/ID/data, the only place where XenStore lets a guest write.
 *
 *   host:  vgpu-grants/offer                 "VERSION INSTANCE PAGES": channels of PAGES pages can be opened
 *   guest: vgpu-grants/channel/PORT/request  "VERSION INSTANCE NONCE PAGES REFERENCE", last
 *   host:  vgpu-grants/channel/PORT/answer   "NONCE STATE ERROR TEXT"
 *
 * INSTANCE is a number of the backend's start: when the offer's changes or the offer is gone, so are all channels.
 * NONCE is a number of the request's, for ports and references are used again. PORT is the process's event channel,
 * unbound, for dom0. REFERENCE is the grant of the channel's first page. STATE is READY or FAILED of enum
 * vgpu_channel_state, ERROR is of enum vgpu_channel_error. INSTANCE and NONCE are hexadecimal, all else is decimal.
 *
 * The first page has, beside the channel's header (vgpu_channel.h), a struct vgpu_grants_head. Pages 1 to table_pages
 * have at first the table: the references of all pages in their order, each of 32 bits. Thousands of references in
 * XenStore would be beyond a guest's quota. Once the host has answered, the table's pages are the channel's.
 *
 * The end. When the process ends in any way its kernel clears guest_lives and sends an event (Linux's gntalloc,
 * UNMAP_NOTIFY_*); removing PORT's nodes means the same. A process that ends orderly says LEAVES first and waits
 * for the host to let go: of what is still mapped then, Linux frees 10 pages a second (drivers/xen/grant-table.c,
 * gnttab_handle_deferred). When the channel is lost, or the backend ends in any way,
 * host_lives is cleared and an event sent (gntdev's likewise). The host removes PORT's nodes when nothing of the
 * channel is mapped by it any more.
 */
#ifndef VGPU_XEN_GRANTS_H
#define VGPU_XEN_GRANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu_channel.h"

#define VGPU_GRANTS	    "vgpu-grants"
#define VGPU_GRANTS_OFFER   VGPU_GRANTS "/offer"
#define VGPU_GRANTS_CHANNEL VGPU_GRANTS "/channel"
#define VGPU_GRANTS_REQUEST "request" /* below VGPU_GRANTS_CHANNEL/PORT */
#define VGPU_GRANTS_ANSWER  "answer"

#define VGPU_GRANTS_VERSION 1

#define VGPU_GRANTS_PAGE_BYTES	    4096u
#define VGPU_GRANTS_TABLE_REFS	    (VGPU_GRANTS_PAGE_BYTES / 4) /* references in a page of the table */
#define VGPU_GRANTS_TABLE_PAGES_MAX 64u
#define VGPU_GRANTS_PAGES_MAX	    (VGPU_GRANTS_TABLE_PAGES_MAX * VGPU_GRANTS_TABLE_REFS)
#define VGPU_GRANTS_PAGES_MIN	    (VGPU_CHANNEL_BYTES_MIN / VGPU_GRANTS_PAGE_BYTES)

/* A text of XenStore that is one of ours, with its NUL. */
#define VGPU_GRANTS_TEXT_BYTES 256

/* Event channels have numbers below 2^17 (Xen's FIFO ABI, xen/include/public/event_channel.h). */
#define VGPU_GRANTS_PORT_MAX ((1u << 17) - 1)

#define VGPU_GRANTS_HEAD_OFFSET 3072u
#define VGPU_GRANTS_MAGIC	0x544e5247 /* "GRNT" */

enum vgpu_grants_life {
	VGPU_GRANTS_GONE = 0,
	VGPU_GRANTS_LIVES = 1,
	VGPU_GRANTS_LEAVES = 2, /* the guest's process only */
};

struct vgpu_grants_head {
	uint32_t magic;
	uint32_t version;
	uint64_t nonce;
	uint32_t pages;
	uint32_t table_pages;
	uint8_t guest_lives; /* enum vgpu_grants_life: of the guest's process */
	uint8_t host_lives;  /* likewise: from the answer READY until the host has lost or left the channel */
	uint8_t reserved[2];
	uint32_t lost_error; /* enum vgpu_channel_error, written by the host before host_lives is cleared */
	uint32_t table[VGPU_GRANTS_TABLE_PAGES_MAX]; /* the references of the table's own pages */
};

_Static_assert(sizeof(struct vgpu_channel_header) <= VGPU_GRANTS_HEAD_OFFSET, "header and head share a page");
_Static_assert(VGPU_GRANTS_HEAD_OFFSET + sizeof(struct vgpu_grants_head) <= VGPU_GRANTS_PAGE_BYTES, "one page");

struct vgpu_grants_offer {
	uint32_t version;
	uint64_t instance;
	uint32_t pages;
};

struct vgpu_grants_request {
	uint32_t version;
	uint64_t instance;
	uint64_t nonce;
	uint32_t pages;
	uint32_t reference;
};

struct vgpu_grants_answer {
	uint64_t nonce;
	uint32_t state; /* VGPU_CHANNEL_READY or VGPU_CHANNEL_FAILED */
	uint32_t error; /* enum vgpu_channel_error */
	char text[VGPU_GRANTS_TEXT_BYTES];
};

/* Writes the text of XenStore's node to 'text' of VGPU_GRANTS_TEXT_BYTES, cut if an answer's text is too long. */
void grants_offer_print(const struct vgpu_grants_offer *offer, char *text);
void grants_request_print(const struct vgpu_grants_request *request, char *text);
void grants_answer_print(const struct vgpu_grants_answer *answer, char *text);

/*
 * Reads a node's value of 'length' bytes, which the other side wrote. False: it is none, or a number is out of
 * range; the result is not touched then. A version that is not ours is no error here.
 */
bool grants_offer_parse(const char *value, size_t length, struct vgpu_grants_offer *ret_offer);
bool grants_request_parse(const char *value, size_t length, struct vgpu_grants_request *ret_request);
bool grants_answer_parse(const char *value, size_t length, struct vgpu_grants_answer *ret_answer);

/*
 * A node below VGPU_GRANTS_CHANNEL: of 'path', of which VGPU_GRANTS_CHANNEL may be any part, the port. False: the path
 * is another.
 */
bool grants_port_parse(const char *path, uint32_t *ret_port);

/* The pages that the table of a channel of 'pages' pages takes. */
uint32_t grants_table_pages(uint32_t pages);

/*
 * The host's check of the guest's head, which was copied from shared memory: NULL, or a sentence about what is
 * wrong with it.
 */
const char *grants_head_check(const struct vgpu_grants_head *head, const struct vgpu_grants_request *request);

#endif
