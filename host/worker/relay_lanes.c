/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_lanes.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "lane.h"

#define ANSWER_MS	    5000
#define PROCESSORS_PER_LANE 4
#define USUAL_MOST	    4
#define STACK_BYTES	    (256u << 10)

static struct {
	struct link link;
	struct lane lane;
	pthread_t thread;
	bool is_started;
} lanes[LANES_MAX];

static unsigned connected;
static bool is_offered; /* and more is not taken */

unsigned relay_lanes_usual(void)
{
	cpu_set_t set;
	int processors = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
	int count = processors / PROCESSORS_PER_LANE;

	return (unsigned)(count < 1 ? 1 : count > USUAL_MOST ? USUAL_MOST : count);
}

/* The worker takes it as a lane of this channel. */
static bool answer_await(struct link *link, char *text, size_t text_bytes)
{
	uint64_t end = link_now_ms() + ANSWER_MS;
	struct link_status status;
	struct link_view view;
	int found;

	while ((found = link_peek(link, &view)) == 0) {
		struct pollfd wait = {.fd = link->socket, .events = POLLIN};
		bool is_lost = !link_flush(link) || !link_fill(link);

		if (link_peek(link, &view) != 0)
			continue;
		if (is_lost || link_now_ms() > end || poll(&wait, 1, ANSWER_MS) <= 0) {
			snprintf(text, text_bytes, "%s", is_lost ? link->reason : "no answer in time");
			return false;
		}
	}
	if (found < 0 || view.type != LINK_STATUS || view.bytes != sizeof(status)) {
		snprintf(text, text_bytes, "the answer is malformed");
		return false;
	}
	memcpy(&status, view.payload, sizeof(status));
	link_consume(link, &view);
	status.text[sizeof(status.text) - 1] = '\0';
	if (status.error)
		snprintf(text, text_bytes, "%s", status.text);
	/* Nothing may come before the link has begun. */
	else if (link->in_begin != link->in_end)
		snprintf(text, text_bytes, "the answer is malformed");
	else
		return true;
	return false;
}

/* Connects it and sends its greeting. False, with the reason in 'text'. */
static bool lane_connect(struct link *link, struct relay *relay, const struct relay_connect_plan *plan,
			 const struct link_lane *offer, char *text, size_t text_bytes)
{
	struct link_lane greeting = {.version = LINK_VERSION};
	struct relay_connect_failure failure;

	if (!relay_connect_lane(link, &relay->link, plan, &failure)) {
		snprintf(text, text_bytes, "%s", failure.text);
		return false;
	}
	memcpy(greeting.token, offer->token, sizeof(greeting.token));
	memcpy(link_put(link, LINK_LANE, sizeof(greeting), false), &greeting, sizeof(greeting));
	/* What is lost here has no answer. */
	(void)link_flush(link);
	return true;
}

bool relay_lanes_connect(struct relay *relay, const struct relay_connect_plan *plan, const struct link_lane *offer)
{
	struct link_place place;
	unsigned greeted = 0;
	char text[VGPU_CONTROL_TEXT_BYTES] = "";

	if (offer->count == 0 || offer->count > relay->lanes_wanted || is_offered) {
		relay_fault(relay, VGPU_ERROR_EXECUTOR_DIED, "the worker offers %u lanes", offer->count);
		return false;
	}
	is_offered = true;
	/* What lets one pass may not let the next one; another attempt would cost a start as much time again. */
	while (greeted < offer->count && lane_connect(&lanes[greeted].link, relay, plan, offer, text, sizeof(text)))
		greeted++;
	for (unsigned i = 0; i < greeted; i++) {
		if (!answer_await(&lanes[i].link, text, sizeof(text)))
			link_destroy(&lanes[i].link);
		else
			lanes[connected++].link = lanes[i].link;
	}
	if (connected < offer->count)
		fprintf(stderr, "[vgpu-relay] %u of %u lanes to the worker: %s\n", connected, offer->count, text);
	place.value = connected;
	memcpy(link_put(&relay->link, LINK_LANES, sizeof(place), false), &place, sizeof(place));
	return true;
}

static void *thread_run(void *lane)
{
	lane_run(lane);
	return NULL;
}

bool relay_lanes_start(struct relay *relay)
{
	const struct channel *channel = &relay->channel;
	const struct lanes_windows windows = {
		.out_offset = (uint32_t)(channel->upload - channel->memory),
		.out_bytes = channel->upload_bytes,
		.in_offset = (uint32_t)(channel->download - channel->memory),
		.in_bytes = channel->download_bytes,
	};
	pthread_attr_t attributes;
	sigset_t all, before;
	int error = 0;

	if (connected == 0)
		return true;
	if (lanes_create(&relay->lanes, connected, NULL) < 0) {
		relay_fault(relay, VGPU_ERROR_NO_MEMORY, "no memory for lanes: %s", strerror(errno));
		return false;
	}
	lanes_open(&relay->lanes, &windows);
	relay->replies_in.lanes = &relay->lanes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; i < connected && !error; i++) {
		lanes[i].lane = (struct lane){
			.link = &lanes[i].link,
			.page = relay->lanes.page,
			.memory = channel->memory,
			.memory_bytes = channel->bytes,
			.wake = relay->lanes.wake,
			.bell = relay->lanes.bell,
		};
		lane_begin(&lanes[i].lane);
		error = pthread_create(&lanes[i].thread, &attributes, thread_run, &lanes[i].lane);
		lanes[i].is_started = !error;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (error)
		relay_fault(relay, VGPU_ERROR_NO_MEMORY, "no thread for a lane: %s", strerror(error));
	return !error;
}

void relay_lanes_end(struct relay *relay)
{
	lanes_end(&relay->lanes);
	for (unsigned i = 0; i < connected; i++) {
		/* One that waits for the network to take something need not. */
		shutdown(lanes[i].link.socket, SHUT_RDWR);
		if (lanes[i].is_started)
			pthread_join(lanes[i].thread, NULL);
		link_destroy(&lanes[i].link);
		lanes[i].is_started = false;
	}
	connected = 0;
	is_offered = false;
}
