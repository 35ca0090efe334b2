/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target: anything that a client with the right credentials may say to a worker, from its greeting on, while
 * an executor, taken over by a guest, uses the channel, its control socket and its log. Whatever comes, the mirror ends
 * for a reason, having written into no other memory than it may.
 */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sanitizer/asan_interface.h>

#include "control_socket.h"
#include "greeting.h"
#include "mirror.h"
#include "wakeup.h"
#include "wire.h"

#define WINDOW_BYTES   (128u << 10)
#define FUNCTION_BYTES (16u << 10)
#define RING_BYTES     (128u << 10)
#define HEADER_BYTES   4096u
#define GAP_BYTES      4096u /* between what is in the channel: not to be touched */
#define COUNTERS_BYTES 4096
#define SILENCE_MS     1000000

/* The input's first byte. */
#define FLAG_GREETS 1u
#define FLAG_LANES  2u

/* Steps of the executor's and of others. */
enum {
	EXECUTOR_RECORD = WIRE_STEP_COUNT, /* posts a reply, with its length put right */
	EXECUTOR_TAKES,			   /* the commands that are there */
	EXECUTOR_WRITES,		   /* bytes into the channel's header, at 8 times 'value' */
	EXECUTOR_FILLS,			   /* bytes into the download window */
	EXECUTOR_CLAIMS,		   /* bytes into the page of its counters, at 16 times 'value' */
	EXECUTOR_SAYS,			   /* a packet to its mirror */
	EXECUTOR_LOGS,			   /* bytes to its standard error */
	EXECUTOR_ENDS,			   /* its control socket is closed */
	PIECE,				   /* one has come over a lane */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* Where what is of an executor is, in the channel's memory. */
static const struct {
	uint32_t commands, replies, upload, download, function, end;
} places = {
	.commands = HEADER_BYTES + GAP_BYTES,
	.replies = HEADER_BYTES + 2 * GAP_BYTES + RING_BYTES,
	.upload = HEADER_BYTES + 3 * GAP_BYTES + 2 * RING_BYTES,
	.download = HEADER_BYTES + 4 * GAP_BYTES + 2 * RING_BYTES + WINDOW_BYTES,
	.function = HEADER_BYTES + 5 * GAP_BYTES + 2 * RING_BYTES + 2 * WINDOW_BYTES,
	.end = HEADER_BYTES + 6 * GAP_BYTES + 2 * RING_BYTES + 2 * WINDOW_BYTES + FUNCTION_BYTES,
};

static struct mirror mirror;
static struct mirror usual; /* what is the same for each input */
static uint8_t *memory;
static uint8_t *counters;
static struct ring executor_commands, executor_replies;
static int executor_control, executor_log;
static uint8_t record[VGPU_RECORD_BYTES_MAX];

static void bytes_put(uint8_t *to, size_t to_bytes, size_t at, const struct step *step, const uint8_t *data)
{
	if (at < to_bytes)
		memcpy(to + at, data, step->bytes < to_bytes - at ? step->bytes : to_bytes - at);
}

static void act(const struct step *step, const uint8_t *data)
{
	uint64_t number = 0;

	switch (step->kind) {
	case EXECUTOR_RECORD:
		wire_record_post(&executor_replies, step, data);
		break;
	case EXECUTOR_TAKES:
		while (ring_take(&executor_commands, record, sizeof(record)) == RING_OK) {
		}
		break;
	case EXECUTOR_WRITES:
		bytes_put(memory, sizeof(struct vgpu_channel_header), step->value * 8u, step, data);
		break;
	case EXECUTOR_FILLS:
		memcpy(memory + places.download, data, step->bytes);
		break;
	case EXECUTOR_CLAIMS:
		bytes_put(counters, COUNTERS_BYTES, step->value * 16u, step, data);
		break;
	case EXECUTOR_SAYS:
		(void)!send(executor_control, data, step->bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case EXECUTOR_LOGS:
		(void)!send(executor_log, data, step->bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case EXECUTOR_ENDS:
		shutdown(executor_control, SHUT_RDWR);
		break;
	case PIECE:
		memcpy(&number, data, step->bytes < sizeof(number) ? step->bytes : sizeof(number));
		if (mirror.lanes.count && lanes_number_is_valid(mirror.lanes.page, number))
			lanes_piece_came(mirror.lanes.page, mirror.lanes.bell, number);
		break;
	default:
		break;
	}
}

static void gap_make(uint32_t end)
{
	ASAN_POISON_MEMORY_REGION(memory + end - GAP_BYTES, GAP_BYTES);
}

static void usual_make(void)
{
	if (posix_memalign((void **)&memory, HEADER_BYTES, places.end) ||
	    posix_memalign((void **)&counters, HEADER_BYTES, COUNTERS_BYTES))
		abort();
	memset(memory, 0, places.end);
	gap_make(places.commands);
	gap_make(places.replies);
	gap_make(places.upload);
	gap_make(places.download);
	gap_make(places.function);
	gap_make(places.end);
	usual = (struct mirror){
		.silence_ms = SILENCE_MS,
		.executor_exit = -1,
		.accounts = -1,
		.interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.memory = memory,
		.header = (void *)memory,
		.counters = (void *)counters,
		.upload_offset = places.upload,
		.upload_bytes = WINDOW_BYTES,
		.download_offset = places.download,
		.download_bytes = WINDOW_BYTES,
		.function_offset = places.function,
		.function_bytes = FUNCTION_BYTES,
	};
	usual.interrupted = wakeup_listen(usual.interrupt);
	if (usual.interrupted < 0 || wakeup_create(&usual.doorbell, &usual.doorbell_other) < 0 ||
	    mirror_schedule_open(&usual.schedule) < 0 || lanes_create(&usual.lanes, 1, NULL) < 0)
		abort();
	mirror_schedule_begin(&usual.schedule, counters);
}

static void mirror_make(struct link *link, unsigned flags)
{
	int ends[2];

	ASAN_UNPOISON_MEMORY_REGION(&mirror, sizeof(mirror));
	memcpy(&mirror, &usual, sizeof(mirror));
	memset(memory, 0, sizeof(struct vgpu_channel_header));
	memset(counters, 0, COUNTERS_BYTES);
	memset(usual.schedule.permit, 0, VGPU_SCHEDULE_PAGE_BYTES);
	memset(usual.lanes.page, 0, sizeof(*usual.lanes.page));
	ring_attach(&mirror.commands, &mirror.header->command, memory + places.commands, RING_BYTES);
	ring_attach(&mirror.replies, &mirror.header->reply, memory + places.replies, RING_BYTES);
	executor_commands = mirror.commands;
	executor_replies = mirror.replies;
	mirror.link = link;
	if (flags & FLAG_LANES)
		mirror.commands_in.lanes = &mirror.lanes;
	else
		mirror.lanes.count = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0 ||
	    mirror_log_open(&mirror.log, &executor_log) < 0)
		abort();
	mirror.control = ends[0];
	executor_control = ends[1];
}

/* What a connection begins with. False: it is none that goes on. */
static bool greets(struct link *link, unsigned flags)
{
	struct greeting greeting;

	if (!(flags & FLAG_GREETS))
		return true;
	if (!greeting_receive(link, &greeting))
		return false;
	if (strlen(greeting.open.host) >= sizeof(greeting.open.host) ||
	    strlen(greeting.open.tenant) >= sizeof(greeting.open.tenant))
		abort();
	return greeting.type == LINK_OPEN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	unsigned flags = bytes ? data[0] : 0;
	struct link link;

	if (!memory)
		usual_make();
	if (link_create(&link, wire_context(), wire_socket()) < 0)
		abort();
	mirror_make(&link, flags);
	wire_begin(data, bytes, act, true);
	if (greets(&link, flags)) {
		mirror_run(&mirror);
		if (!mirror.is_closing && !mirror.status.error)
			abort();
	}
	mirror_close(&mirror);
	usual.unpacker = mirror.unpacker;
	if (mirror.log.output >= 0)
		close(mirror.log.output);
	close(executor_log);
	close(executor_control);
	link_destroy(&link);
	return 0;
}
