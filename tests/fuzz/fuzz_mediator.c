/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target: all that others may say to a mediator: local programs, QEMU's devices, executors and relays, which
 * guests may have taken over, what its children print, a worker's telemetry among it, and administrators. Whatever
 * comes, nothing of it is left when they have gone, no descriptor either, and each request of an administrator has an
 * answer, which is JSON on one line.
 */
#include <dirent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "admin.h"
#include "channel.h"
#include "cleaner.h"
#include "closer.h"
#include "control_socket.h"
#include "discovery.h"
#include "gpu_events.h"
#include "log.h"
#include "mediator.h"
#include "mediator_children.h"
#include "mediator_steps.h"
#include "probe.h"
#include "recorder.h"
#include "scheduler.h"
#include "sensors.h"
#include "session.h"
#include "silence.h"
#include "starter.h"
#include "state.h"
#include "steps.h"
#include "store.h"
#include "worker_watch.h"

#define PEERS_MAX     16
#define TURNS	      3 /* of the loop after each step */
#define END_MS	      60000
#define MEMORY_BYTES  (16u << 20)
#define MESSAGE_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct mediator mediator;
static int peers[PEERS_MAX];
static unsigned peer_count;
static uid_t peer_user;

/* The descriptors that go with a packet; the caller closes them. */
static size_t give(unsigned what, int ret_descriptors[2])
{
	switch (what) {
	case WITH_MEMORY:
	case WITH_MEMORY_UNSEALED:
		ret_descriptors[0] = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (ftruncate(ret_descriptors[0], MEMORY_BYTES) < 0 ||
		    (what == WITH_MEMORY && fcntl(ret_descriptors[0], F_ADD_SEALS, F_SEAL_SHRINK) < 0))
			abort();
		return 1;
	case WITH_EVENTFDS:
		ret_descriptors[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ret_descriptors[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		return 2;
	case WITH_EVENTFD:
		ret_descriptors[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		return 1;
	case WITH_PIPE:
		if (pipe2(ret_descriptors, O_CLOEXEC | O_NONBLOCK) < 0)
			abort();
		return 2;
	default:
		return 0;
	}
}

static void packet_send(int socket, const struct step *step, const uint8_t *data)
{
	int descriptors[2];
	size_t count = give(step->value & 0xf0, descriptors);

	/* Who does not read is not written to without end. */
	(void)control_packet_send(socket, data, step->bytes < MESSAGE_BYTES ? step->bytes : MESSAGE_BYTES, descriptors,
				  count);
	while (count--)
		close(descriptors[count]);
}

static void peer_connect(bool may_be_device)
{
	struct ucred who = {.uid = peer_user, .gid = peer_user};
	int ends[2];

	if (peer_count == PEERS_MAX)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		abort();
	peers[peer_count++] = ends[0];
	session_accept(&mediator, ends[1], &who, may_be_device);
}

static void administrator_ask(const struct step *step, const uint8_t *data)
{
	static struct log_limit limit = LOG_LIMIT(1, 5);
	const struct admin_peer asks = {.who = "root", .may_change = step->value != 0, .log = &limit};
	char *answer = admin_request_take(&mediator, &asks, (const char *)data, step->bytes);
	json_t *root = answer ? json_loads(answer, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (!json_is_object(root) || !json_is_boolean(json_object_get(root, "ok")) || strchr(answer, '\n'))
		abort();
	json_decref(root);
	free(answer);
}

static void child_act(const struct step *step, const uint8_t *data)
{
	struct child *child = children_find(step->value & 15);
	int status = 0;

	if (!child)
		return;
	memcpy(&status, data, step->bytes ? 1 : 0);
	if (step->kind == CHILD_SAYS && child->control >= 0)
		packet_send(child->control, step, data);
	else if (step->kind == CHILD_PRINTS)
		(void)!send(step->value & 16 ? child->error : child->output, data, step->bytes,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (step->kind == CHILD_ENDS)
		child_exit(child, status & 15 ? (status & 15) << 8 : status >> 4);
}

static void step_do(const struct step *step, const uint8_t *data)
{
	int *peer = peer_count ? &peers[(step->value & 15) % peer_count] : NULL;

	switch (step->kind) {
	case PEER_CONNECTS:
		peer_connect(step->value != 0);
		break;
	case PEER_SAYS:
		if (peer)
			packet_send(*peer, step, data);
		break;
	case PEER_GOES:
		if (!peer)
			break;
		close(*peer);
		*peer = peers[--peer_count];
		break;
	case PEER_READS:
		if (peer)
			control_drain(*peer);
		break;
	case CHILD_SAYS:
	case CHILD_PRINTS:
	case CHILD_ENDS:
		child_act(step, data);
		break;
	case ADMINISTRATOR_ASKS:
		administrator_ask(step, data);
		break;
	default:
		break;
	}
}

static void turn(void)
{
	for (int i = 0; i < TURNS; i++)
		event_base_loop(mediator.base, EVLOOP_NONBLOCK);
	children_end(false);
}

static void sweep(evutil_socket_t none, short what, void *argument)
{
	(void)none;
	(void)what;
	sessions_sweep(argument);
}

/* The settings stay as they are. */
static int reload(struct mediator *unused)
{
	(void)unused;
	return -1;
}

/* As main() does, without sockets of its own. */
static void mediator_begin(void)
{
	static char *arguments[] = {"mediator",
				    "--config=/dev/null",
				    "--driver=/dev/null",
				    "--executor=/dev/null",
				    "--relay=/dev/null",
				    "--worker=B=127.0.0.1:1",
				    "--worker-credentials=/dev/null"};
	static struct configuration_source *source;
	struct event_config *features = event_config_new();
	char text[STORE_TEXT_BYTES];

	if (!source)
		source = configuration_source_create(sizeof(arguments) / sizeof(arguments[0]), arguments);
	mediator = (struct mediator){.keeper = -1, .reload = reload};
	if (!source || configuration_load(source, &mediator.configuration) < 0 || !features ||
	    event_config_require_features(features, EV_FEATURE_ET) < 0)
		abort();
	mediator.base = event_base_new_with_config(features);
	event_config_free(features);
	mediator.session_sweep = evtimer_new(mediator.base, sweep, &mediator);
	mediator.probe = probe_create(&mediator);
	mediator.discovery = discovery_create();
	mediator.cleaner = cleaner_create(mediator.base);
	mediator.silence = silence_create(&mediator);
	mediator.store = store_open(":memory:", NULL, text, sizeof(text));
	mediator.sensors = sensors_create(&mediator);
	mediator.gpu_events = gpu_events_create(&mediator);
	if (!mediator.session_sweep || !mediator.probe || !mediator.discovery || !mediator.cleaner ||
	    !mediator.silence || !mediator.store || !mediator.sensors || !mediator.gpu_events)
		abort();
	control_closing_set(closer_close);
	probe_restart(mediator.probe);
}

static void driver_find(void)
{
	static const char said[] =
		"driver_version=12080\nsoftware=1\n"
		"device=0 name=\"GPU\" uuid=GPU-1 memory=1000000000 pci=0000:01:00.0 reaches_host=0\n";
	struct child *probe = children_probe();

	if (!probe || write(probe->output, said, sizeof(said) - 1) < 0)
		abort();
	child_exit(probe, 0);
	worker_watches_apply(&mediator);
	sensors_refresh(mediator.sensors);
	gpu_events_refresh(mediator.gpu_events);
}

/* Everybody goes, and all that was theirs. */
static void mediator_end(void)
{
	mediator.stopping = true;
	while (peer_count)
		close(peers[--peer_count]);
	sessions_end_all(&mediator, "the input is over");
	for (int i = 0; !LIST_EMPTY(&mediator.sessions) || !LIST_EMPTY(&mediator.channels); i++) {
		if (i == END_MS)
			abort();
		children_end(true);
		turn();
		usleep(i ? 1000 : 0);
	}
	children_end(true);
	cleaner_destroy(mediator.cleaner);
	sensors_destroy(mediator.sensors);
	worker_watches_destroy(&mediator);
	gpu_events_destroy(mediator.gpu_events);
	probe_destroy(mediator.probe);
	tenant_cache_removals_destroy(&mediator);
	discovery_destroy(mediator.discovery);
	silence_destroy(mediator.silence);
	schedulers_destroy(&mediator);
	tenants_destroy(&mediator);
	recorder_destroy(&mediator);
	event_free(mediator.session_sweep);
	event_base_free(mediator.base);
	store_close(mediator.store);
	configuration_clear(&mediator.configuration);
}

static unsigned descriptors_count(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	if (!folder)
		abort();
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void threads_begin(void)
{
	static bool have_begun;

	if (have_begun)
		return;
	have_begun = true;
	log_level_set(LOG_LEVEL_ERROR);
	if (starter_open() < 0)
		abort();
	/* Its thread begins with the first. */
	closer_close(eventfd(0, EFD_CLOEXEC));
	usleep(10000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct steps steps = {.data = data + STEPS_FLAGS_BYTES,
			      .bytes = bytes > STEPS_FLAGS_BYTES ? bytes - STEPS_FLAGS_BYTES : 0};
	const uint8_t *in_step;
	struct step step;
	unsigned before;

	threads_begin();
	before = descriptors_count();
	peer_user = bytes && data[0] & MEDIATOR_FLAG_ROOT ? 0 : 1000;
	mediator_begin();
	driver_find();
	turn();
	while (steps_next(&steps, &step, &in_step)) {
		step_do(&step, in_step);
		turn();
	}
	mediator_end();
	/* Some are closed by a thread of the closer's. */
	for (int i = 0; descriptors_count() != before; i++) {
		if (i == END_MS)
			abort();
		usleep(1000);
	}
	return 0;
}
