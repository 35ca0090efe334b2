/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In a guest of Xen: asks for a channel over grants as no library would, and says what the host answers.
 * usage: hostile_grants CASE
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vgpu_xen_grants.h"
#include "xen_devices.h"
#include "xenbus.h"

enum { NO_REFERENCE = 0xfff0, NO_PORT = 99999, WAIT_S = 120, PAGES_ALIKE = 32 };

struct guest {
	struct xenbus store;
	struct vgpu_grants_offer offer;
	struct ioctl_gntalloc_alloc_gref *grants;
	const uint32_t *references;
	char *memory;
	struct vgpu_grants_head *head;
	uint32_t *table;
	uint32_t port;
	struct vgpu_grants_request request;
};

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

static void guest_open(struct guest *guest)
{
	struct evtchn_bind_unbound_port bind = {.remote_domain = 0};
	int grants = open("/dev/xen/gntalloc", O_RDWR), events = open("/dev/xen/evtchn", O_RDWR);
	char value[VGPU_GRANTS_TEXT_BYTES];
	int length, port;

	if (grants < 0 || events < 0 || xenbus_open(&guest->store) < 0)
		fail("Xen's devices");
	length = xenbus_read(&guest->store, "data/" VGPU_GRANTS_OFFER, value, sizeof(value));
	if (length < 0 || !grants_offer_parse(value, (size_t)length, &guest->offer))
		fail("no offer");
	guest->grants = calloc(1, sizeof(*guest->grants) + guest->offer.pages * sizeof(uint32_t));
	guest->grants->flags = GNTALLOC_FLAG_WRITABLE;
	guest->grants->count = guest->offer.pages;
	if (ioctl(grants, IOCTL_GNTALLOC_ALLOC_GREF, guest->grants) < 0)
		fail("gntalloc");
	guest->references = guest->grants->gref_ids;
	guest->memory = mmap(NULL, (size_t)guest->offer.pages * VGPU_GRANTS_PAGE_BYTES, PROT_READ | PROT_WRITE,
			     MAP_SHARED, grants, (off_t)guest->grants->index);
	port = ioctl(events, EVTCHN_BIND_UNBOUND_PORT, &bind);
	if (guest->memory == MAP_FAILED || port <= 0)
		fail("memory and port");
	guest->port = (uint32_t)port;
	guest->head = (struct vgpu_grants_head *)(guest->memory + VGPU_GRANTS_HEAD_OFFSET);
	guest->table = (uint32_t *)(guest->memory + VGPU_GRANTS_PAGE_BYTES);
	guest->request = (struct vgpu_grants_request){
		.version = VGPU_GRANTS_VERSION,
		.instance = guest->offer.instance,
		.nonce = (uint64_t)getpid() << 8,
		.pages = guest->offer.pages,
		.reference = guest->references[0],
	};
	*guest->head = (struct vgpu_grants_head){
		.magic = VGPU_GRANTS_MAGIC,
		.version = VGPU_GRANTS_VERSION,
		.nonce = guest->request.nonce,
		.pages = guest->offer.pages,
		.table_pages = 1,
		.guest_lives = VGPU_GRANTS_LIVES,
		.table = {guest->references[1]},
	};
	memcpy(guest->table, guest->references, guest->offer.pages * sizeof(uint32_t));
}

static void path_make(const struct guest *guest, const char *node, char path[64])
{
	snprintf(path, 64, "data/" VGPU_GRANTS_CHANNEL "/%" PRIu32 "%s%s", guest->port, *node ? "/" : "", node);
}

static void request_write(struct guest *guest, const char *garbage)
{
	char text[VGPU_GRANTS_TEXT_BYTES];
	char path[64];

	grants_request_print(&guest->request, text);
	path_make(guest, VGPU_GRANTS_REQUEST, path);
	if (xenbus_write(&guest->store, path, garbage ? garbage : text) < 0)
		fail("xenbus");
}

static void answer_await(struct guest *guest, struct vgpu_grants_answer *ret_answer)
{
	char value[VGPU_GRANTS_TEXT_BYTES];
	char path[64];

	path_make(guest, VGPU_GRANTS_ANSWER, path);
	for (int i = 0; i < WAIT_S * 10; i++) {
		int length = xenbus_read(&guest->store, path, value, sizeof(value));

		if (length >= 0 && grants_answer_parse(value, (size_t)length, ret_answer) &&
		    ret_answer->nonce == guest->request.nonce)
			return;
		usleep(100000);
	}
	printf("no answer\n");
	exit(1);
}

/* The host takes the channel back. */
static void end_await(const struct guest *guest)
{
	const volatile struct vgpu_grants_head *head = guest->head;

	for (int i = 0; i < WAIT_S * 10 && head->host_lives; i++)
		usleep(100000);
	printf("%s\n", head->host_lives ? "the host goes on" : "the host has ended it");
}

/* Prepares the request; true: it is one of which a channel comes. */
static bool case_prepare(struct guest *guest, const char *name)
{
	if (strcmp(name, "nonce") == 0)
		guest->head->nonce++;
	else if (strcmp(name, "pages") == 0)
		guest->request.pages += 1;
	else if (strcmp(name, "instance") == 0)
		guest->request.instance++;
	else if (strcmp(name, "reference") == 0)
		guest->request.reference = NO_REFERENCE;
	else if (strcmp(name, "table-reference") == 0)
		guest->head->table[0] = NO_REFERENCE;
	else if (strcmp(name, "table-pages") == 0)
		guest->head->table_pages = 1000000;
	else if (strcmp(name, "references") == 0)
		memset(guest->table, 0xff, guest->offer.pages * sizeof(uint32_t));
	else if (strcmp(name, "one-page") == 0)
		for (uint32_t i = 0; i < guest->offer.pages; i++)
			guest->table[i] = guest->references[0];
	else if (strcmp(name, "port") == 0)
		guest->port = NO_PORT;
	else
		return true;
	return false;
}

int main(int count, char **arguments)
{
	struct guest guest = {0};
	struct vgpu_grants_answer answer;
	const char *name = count > 1 ? arguments[1] : "";
	char path[64];

	guest_open(&guest);
	if (!case_prepare(&guest, name)) {
		request_write(&guest, NULL);
		/* The answer must still be there for who looks late. */
		sleep(3);
		answer_await(&guest, &answer);
		printf("state %" PRIu32 " error %" PRIu32 ": %s\n", answer.state, answer.error, answer.text);
		path_make(&guest, "", path);
		xenbus_remove(&guest.store, path);
		return 0;
	}
	/* Pages that are the same, the first one among them: a channel that writes over itself. */
	if (strcmp(name, "alike") == 0)
		for (uint32_t i = 1; i < guest.offer.pages; i++)
			guest.table[i] = guest.references[i / PAGES_ALIKE * PAGES_ALIKE];
	request_write(&guest, NULL);
	answer_await(&guest, &answer);
	if (answer.state != VGPU_CHANNEL_READY) {
		printf("no channel: %s\n", answer.text);
		return 1;
	}
	path_make(&guest, "", path);
	if (strcmp(name, "alike") == 0) {
		/* As if it were gone, in the middle of it. */
		guest.head->guest_lives = 0;
		xenbus_remove(&guest.store, path);
	} else if (strcmp(name, "again") == 0) {
		guest.request.nonce++;
		request_write(&guest, NULL);
	} else if (strcmp(name, "garbage") == 0) {
		request_write(&guest, "1 2 3 4 5 6");
	} else if (strcmp(name, "removed") == 0) {
		xenbus_remove(&guest.store, path);
	}
	end_await(&guest);
	return 0;
}
