/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-xen-jobs: carries the jobs of Xen's guests between XenStore and vgpu-jobs.
 *
 * A program of its own, for it needs root's way to XenStore, which vgpu-jobs must not have; and its calls wait for
 * xenstored, which vgpu-jobs must not do.  One thread, one libevent loop; nothing is polled: xenstored tells by
 * watches of new and ended domains and of what a guest submits.
 *
 * Invariants: a guest has at most one job under way; what it submits meanwhile is looked at when that is answered.
 * A guest may write as often as it likes: its changes are only noted, and who is noted waits in a queue, once, of which
 * one guest is served before the loop looks at everything else again. So who writes all the time is served as often as
 * others, no more.
 * A connection to vgpu-jobs is made for a guest's first job and kept, so its runner process serves the next ones.
 */
#include <argp.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xenstore.h>

#include "domain.h"
#include "grants_list.h"
#include "grants_store.h"
#include "jobs_store.h"
#include "vgpu_xenstore.h"

#define TOKEN_DOMAINS	"domains"
#define EVENTS_IN_A_ROW 64 /* they are only noted */

struct carrier {
	struct event_base *base;
	struct xs_handle *store;
	const char *jobs; /* the socket of vgpu-jobs */
	const char *list; /* of guests, with their VMs' numbers */
	LIST_HEAD(, guest) guests;
	TAILQ_HEAD(due_queue, guest) due; /* those to be looked at, in the order in which they are */
	bool domains_are_due;
	struct event *work; /* pending while anything is due */
};

struct guest {
	LIST_ENTRY(guest) link;
	TAILQ_ENTRY(guest) due_link; /* while it is due, and no job of it runs */
	struct carrier *carrier;
	unsigned int domain;
	bool is_present; /* while the list is compared with XenStore */
	bool is_running;
	bool is_due;	 /* has changed something that was not looked at */
	uint32_t number; /* of the running job */
	uint32_t last_number;
	bool has_last;
	struct bufferevent *wire; /* NULL: not connected */
};

static void work_begin(struct carrier *carrier)
{
	const struct timeval now = {0};

	/* Not event_active(), which has no look at other descriptors before. */
	if (!evtimer_pending(carrier->work, NULL))
		event_add(carrier->work, &now);
}

static void guest_queue(struct guest *guest)
{
	TAILQ_INSERT_TAIL(&guest->carrier->due, guest, due_link);
	work_begin(guest->carrier);
}

static void guest_note(struct guest *guest)
{
	if (guest->is_due)
		return;
	guest->is_due = true;
	if (!guest->is_running)
		guest_queue(guest);
}

static void wire_close(struct guest *guest)
{
	if (guest->wire)
		bufferevent_free(guest->wire);
	guest->wire = NULL;
}

static void answer_give(struct guest *guest, const char *answer, size_t bytes)
{
	bool is_given = jobs_store_answer(guest->carrier->store, guest->domain, guest->number, answer, bytes);

	fprintf(stderr, "[vgpu-xen-jobs] %s domain %u\n", is_given ? "Sent response to" : "Cannot answer",
		guest->domain);
	guest->is_running = false;
	if (guest->is_due)
		guest_queue(guest);
}

static void problem_give(struct guest *guest, const char *problem)
{
	char text[160];

	snprintf(text, sizeof(text), "{\"error\":\"%s\"}", problem);
	answer_give(guest, text, strlen(text));
}

static void wire_readable(struct bufferevent *wire, void *argument)
{
	struct guest *guest = argument;
	struct evbuffer *input = bufferevent_get_input(wire);
	size_t length;
	char *answer = evbuffer_readln(input, &length, EVBUFFER_EOL_LF);

	if (answer && guest->is_running && length <= VGPU_XENSTORE_BYTES_MAX) {
		answer_give(guest, answer, length);
	} else if (answer || evbuffer_get_length(input) > VGPU_XENSTORE_BYTES_MAX) {
		/* The rest of a long answer is not waited for. */
		wire_close(guest);
		if (guest->is_running)
			problem_give(guest, "the answer is longer than 65536 bytes, which XenStore carries at most");
	}
	free(answer);
}

static void wire_event(struct bufferevent *wire, short what, void *argument)
{
	struct guest *guest = argument;

	(void)wire;
	if (what & BEV_EVENT_CONNECTED)
		return;
	wire_close(guest);
	if (guest->is_running)
		problem_give(guest, "vgpu-jobs does not answer");
}

/* As the list of guests has it. 0: it has none. */
static unsigned long vm_id_find(const struct guest *guest)
{
	struct grants_list_entry entry;
	struct grants_identity identity;

	if (!grants_store_identity(guest->carrier->store, guest->domain, &identity) ||
	    !grants_list_find_any(guest->carrier->list, identity.uuid_text, identity.name, &entry))
		return 0;
	for (char **word = entry.words; word[0]; word++) {
		if (strncmp(word[0], "--vm-id=", 8) == 0)
			return strtoul(word[0] + 8, NULL, 10);
		if (strcmp(word[0], "--vm-id") == 0 && word[1])
			return strtoul(word[1], NULL, 10);
	}
	return 0;
}

static bool wire_open(struct guest *guest)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (guest->wire)
		return true;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", guest->carrier->jobs);
	guest->wire = bufferevent_socket_new(guest->carrier->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!guest->wire)
		return false;
	bufferevent_setcb(guest->wire, wire_readable, NULL, wire_event, guest);
	if (bufferevent_socket_connect(guest->wire, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    bufferevent_enable(guest->wire, EV_READ | EV_WRITE) < 0) {
		wire_close(guest);
		return false;
	}
	evbuffer_add_printf(bufferevent_get_output(guest->wire), "VM %lu\n", vm_id_find(guest));
	return true;
}

static void request_take(struct guest *guest)
{
	const char *problem;
	size_t bytes;
	char *request;

	request = jobs_store_request(guest->carrier->store, guest->domain, &guest->number, &bytes, &problem);
	/* A watch fires at its start, and for the guest's other changes too. */
	if ((!request && !problem) || (guest->has_last && guest->number == guest->last_number)) {
		free(request);
		return;
	}
	guest->has_last = true;
	guest->last_number = guest->number;
	guest->is_running = true;
	fprintf(stderr, "[vgpu-xen-jobs] Received GPU request from domain %u\n", guest->domain);
	if (problem)
		problem_give(guest, problem);
	else if (!wire_open(guest) || bufferevent_write(guest->wire, request, bytes) < 0)
		problem_give(guest, "vgpu-jobs does not answer");
	free(request);
}

static struct guest *guest_find(const struct carrier *carrier, unsigned int domain)
{
	struct guest *guest;

	LIST_FOREACH(guest, &carrier->guests, link)
	{
		if (guest->domain == domain)
			return guest;
	}
	return NULL;
}

static void guest_free(struct guest *guest)
{
	if (guest->is_due && !guest->is_running)
		TAILQ_REMOVE(&guest->carrier->due, guest, due_link);
	wire_close(guest);
	LIST_REMOVE(guest, link);
	free(guest);
}

static void guest_add(struct carrier *carrier, unsigned int domain)
{
	struct guest *guest;

	if (!jobs_store_offer(carrier->store, domain))
		return;
	guest = calloc(1, sizeof(*guest));
	if (!guest)
		return;
	*guest = (struct guest){.carrier = carrier, .domain = domain, .is_present = true};
	LIST_INSERT_HEAD(&carrier->guests, guest, link);
	if (!jobs_store_watch(carrier->store, domain))
		guest_free(guest);
}

/* Domains came or went. */
static void guests_compare(struct carrier *carrier)
{
	unsigned int count = 0;
	char **names = xs_directory(carrier->store, XBT_NULL, "/local/domain", &count);
	struct guest *guest;
	struct guest *next;

	LIST_FOREACH(guest, &carrier->guests, link)
	guest->is_present = false;
	for (unsigned int i = 0; i < count; i++) {
		unsigned long domain = strtoul(names[i], NULL, 10);

		if (domain == 0 || domain > DOMAIN_MAX)
			continue;
		guest = guest_find(carrier, (unsigned int)domain);
		if (guest)
			guest->is_present = true;
		else
			guest_add(carrier, (unsigned int)domain);
	}
	free(names);
	for (guest = LIST_FIRST(&carrier->guests); guest; guest = next) {
		next = LIST_NEXT(guest, link);
		if (guest->is_present)
			continue;
		jobs_store_unwatch(carrier->store, guest->domain);
		guest_free(guest);
	}
}

static void work_do(evutil_socket_t none, short what, void *argument)
{
	struct carrier *carrier = argument;
	struct guest *guest;

	(void)none;
	(void)what;
	if (carrier->domains_are_due) {
		carrier->domains_are_due = false;
		guests_compare(carrier);
	}
	guest = TAILQ_FIRST(&carrier->due);
	if (guest) {
		TAILQ_REMOVE(&carrier->due, guest, due_link);
		guest->is_due = false;
		request_take(guest);
	}
	if (!TAILQ_EMPTY(&carrier->due))
		work_begin(carrier);
}

static void event_note(struct carrier *carrier, const char *token)
{
	struct guest *guest;

	if (strcmp(token, TOKEN_DOMAINS) == 0) {
		carrier->domains_are_due = true;
		work_begin(carrier);
		return;
	}
	guest = guest_find(carrier, (unsigned int)strtoul(token, NULL, 10));
	if (guest)
		guest_note(guest);
}

static void store_readable(evutil_socket_t descriptor, short what, void *argument)
{
	struct carrier *carrier = argument;
	char **event = NULL;

	(void)descriptor;
	(void)what;
	/* What is left keeps the descriptor readable. */
	for (int i = 0; i < EVENTS_IN_A_ROW && (event = xs_check_watch(carrier->store)); i++) {
		event_note(carrier, event[XS_WATCH_TOKEN]);
		free(event);
	}
	if (!event && errno != EAGAIN) {
		fprintf(stderr, "[vgpu-xen-jobs] XenStore is lost: %s\n", strerror(errno));
		event_base_loopbreak(carrier->base);
	}
}

static const struct argp_option options[] = {
	{"list", 'l', "FILE", 0, "The list of guests (/etc/vgpu/xen-guests)", 0},
	{"jobs", 'j', "PATH", 0, "The Unix socket on which vgpu-jobs listens (/run/vgpu-jobs/socket)", 0},
	{0},
};

static error_t option_parse(int key, char *argument, struct argp_state *state)
{
	struct carrier *carrier = state->input;

	if (key == 'l')
		carrier->list = argument;
	if (key == 'l')
		return 0;
	if (key != 'j')
		return ARGP_ERR_UNKNOWN;
	if (strlen(argument) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		argp_error(state, "the path is too long for a socket");
	carrier->jobs = argument;
	return 0;
}

int main(int count, char **arguments)
{
	static const struct argp parser = {
		.options = options,
		.parser = option_parse,
		.doc = "Carries the JSON jobs of Xen's guests from XenStore to vgpu-jobs, and the answers back.",
	};
	struct carrier carrier = {.jobs = "/run/vgpu-jobs/socket", .list = "/etc/vgpu/xen-guests"};
	struct event *readable;

	argp_err_exit_status = 2; /* as of the other daemons: the unit does not start it again */
	argp_program_version = "vgpu-xen-jobs " VGPU_VERSION;
	if (argp_parse(&parser, count, arguments, 0, NULL, &carrier))
		return EXIT_FAILURE;
	signal(SIGPIPE, SIG_IGN);
	TAILQ_INIT(&carrier.due);
	carrier.base = event_base_new();
	carrier.store = xs_open(0);
	carrier.work = carrier.base ? evtimer_new(carrier.base, work_do, &carrier) : NULL;
	if (!carrier.base || !carrier.store || !carrier.work ||
	    !xs_watch(carrier.store, "@introduceDomain", TOKEN_DOMAINS) ||
	    !xs_watch(carrier.store, "@releaseDomain", TOKEN_DOMAINS)) {
		fprintf(stderr, "vgpu-xen-jobs: no XenStore: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	readable = event_new(carrier.base, xs_fileno(carrier.store), EV_READ | EV_PERSIST, store_readable, &carrier);
	if (!readable || event_add(readable, NULL) < 0)
		return EXIT_FAILURE;
	fprintf(stderr, "[vgpu-xen-jobs] Jobs of guests go to %s\n", carrier.jobs);
	event_base_dispatch(carrier.base);
	/* It ends only when XenStore does; systemd starts it again. */
	return EXIT_FAILURE;
}
