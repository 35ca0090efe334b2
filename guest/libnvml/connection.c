/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "nvml_functions.h"
#include "transport.h"

/* Of the host's library: it may have to wake GPUs. */
#define ANSWER_TIMEOUT_MS 60000

/* A lost connection is not tried again for every request of a program that looks all the time. */
#define RETRY_NS 1000000000

/* A monitor that looks every few seconds keeps its connection. */
#define IDLE_NS		 10000000000u
#define IDLE_STACK_BYTES (64u << 10)

struct connection {
	struct transport *transport;
	struct channel channel;
};

/* Requests hold it for reading, opening and closing for writing. */
static pthread_rwlock_t connection_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct connection *connection;
static unsigned int device_count;
static int last_failure;
static uint64_t last_failure_ns;
static uint64_t last_use_ns; /* atomic */
static bool idle_runs;	     /* the thread that closes it when it is idle */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A person has to learn why there is nothing to see; programs often say only that there is not. */
static void complain(const char *text)
{
	static bool done;

	if (!done)
		fprintf(stderr, "vgpu-nvml: %s\n", text);
	done = true;
}

static int failure_result(enum vgpu_channel_error error)
{
	switch (error) {
	case VGPU_ERROR_VERSION:
		return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
	case VGPU_ERROR_REFUSED:
		return NVML_ERROR_INSUFFICIENT_RESOURCES;
	case VGPU_ERROR_NO_MEMORY:
		return NVML_ERROR_MEMORY;
	case VGPU_ERROR_START_TIMEOUT:
		return NVML_ERROR_TIMEOUT;
	case VGPU_ERROR_PROTOCOL:
		return NVML_ERROR_UNKNOWN;
	default:
		return NVML_ERROR_DRIVER_NOT_LOADED;
	}
}

static size_t padded(size_t bytes)
{
	return (bytes + 7) & ~(size_t)7;
}

/* False: the payload is too long, or the channel is lost. */
static bool exchange(struct channel *channel, uint16_t opcode, const struct connection_piece *pieces,
		     size_t piece_count, struct channel_waiter *waiter)
{
	size_t bytes = 0;
	uint8_t *at;
	void *place;

	for (size_t i = 0; i < piece_count; i++)
		bytes += padded(pieces[i].bytes);
	if (bytes > CHANNEL_PAYLOAD_MAX || channel_begin(channel, opcode, 0, bytes, waiter, &place))
		return false;
	at = place;
	for (size_t i = 0; i < piece_count; i++) {
		memset(at, 0, padded(pieces[i].bytes));
		if (pieces[i].bytes)
			memcpy(at, pieces[i].data, pieces[i].bytes);
		at += padded(pieces[i].bytes);
	}
	channel_commit(channel);
	return channel_await_for(channel, waiter, ANSWER_TIMEOUT_MS) == CUDA_SUCCESS;
}

static int greet(struct connection *opened)
{
	struct vgpu_hello hello = {
		.version = VGPU_PROTOCOL_VERSION,
		.api_checksum = NVML_API_CHECKSUM,
		.features = VGPU_FEATURE_TELEMETRY,
		.process_id = (uint32_t)getpid(),
	};
	const struct connection_piece piece = {&hello, sizeof(hello)};
	struct vgpu_hello_reply reply;
	struct channel_waiter waiter = {.reply = &reply, .capacity = sizeof(reply)};

	snprintf(hello.process_name, sizeof(hello.process_name), "%s", program_invocation_short_name);
	if (!exchange(&opened->channel, VGPU_OPCODE_HELLO, &piece, 1, &waiter) || waiter.bytes < sizeof(reply)) {
		complain("the executor does not answer");
		return NVML_ERROR_UNKNOWN;
	}
	if (reply.version >> 16 != VGPU_PROTOCOL_MAJOR || reply.api_checksum != NVML_API_CHECKSUM ||
	    !(reply.features & VGPU_FEATURE_TELEMETRY)) {
		complain("library and host are of different versions");
		return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
	}
	if (reply.init_result)
		return (int)reply.init_result;
	__atomic_store_n(&device_count, reply.device_count, __ATOMIC_RELEASE);
	return NVML_SUCCESS;
}

static void connection_free(struct connection *closed)
{
	if (!closed)
		return;
	transport_close(closed->transport);
	free(closed->transport);
	free(closed);
}

/* In the child of a fork: the channel is the parent's, and only system calls that are safe here. */
static void forked(void)
{
	pthread_rwlock_t fresh = PTHREAD_RWLOCK_INITIALIZER;

	if (connection)
		transport_close(connection->transport);
	connection = NULL;
	connection_lock = fresh;
	idle_runs = false;
}

static void fork_watch(void)
{
	pthread_atfork(NULL, NULL, forked);
}

/* How long the connection has to stay unused until it is closed. */
static uint64_t idle_left_ns(void)
{
	uint64_t unused = now_ns() - __atomic_load_n(&last_use_ns, __ATOMIC_RELAXED);

	return unused < IDLE_NS ? IDLE_NS - unused : 0;
}

static void *idle_run(void *argument)
{
	bool is_over = false;

	while (!is_over) {
		uint64_t left = idle_left_ns();
		const struct timespec pause = {.tv_sec = (time_t)(left / 1000000000u),
					       .tv_nsec = (long)(left % 1000000000u)};

		nanosleep(&pause, NULL);
		/* Who holds it for reading has a request under way. */
		pthread_rwlock_wrlock(&connection_lock);
		is_over = !connection || idle_left_ns() == 0;
		if (is_over) {
			connection_free(connection);
			connection = NULL;
			idle_runs = false;
		}
		pthread_rwlock_unlock(&connection_lock);
	}
	return argument;
}

/* With the lock for writing. Without the thread the connection stays until the last nvmlShutdown. */
static void idle_watch(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all;
	sigset_t before;

	__atomic_store_n(&last_use_ns, now_ns(), __ATOMIC_RELAXED);
	if (idle_runs || pthread_attr_init(&attributes))
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	idle_runs = pthread_attr_setstacksize(&attributes, IDLE_STACK_BYTES) == 0 &&
		    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
		    pthread_create(&thread, &attributes, idle_run, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
}

static int connect_new(struct connection **ret_connection)
{
	static pthread_once_t watched = PTHREAD_ONCE_INIT;
	struct transport_failure failure = {0};
	struct connection *opened = aligned_alloc(64, (sizeof(*opened) + 63) & ~(size_t)63);
	int result;

	if (!opened)
		return NVML_ERROR_MEMORY;
	pthread_once(&watched, fork_watch);
	opened->transport = transport_open(&failure);
	if (!opened->transport) {
		complain(failure.text);
		free(opened);
		return failure_result(failure.error);
	}
	if (!channel_attach(&opened->channel, opened->transport)) {
		complain("the host offers a channel of another version");
		result = NVML_ERROR_LIB_RM_VERSION_MISMATCH;
	} else {
		result = greet(opened);
	}
	if (result) {
		connection_free(opened);
		return result;
	}
	*ret_connection = opened;
	return NVML_SUCCESS;
}

static bool connection_works(void)
{
	return connection && !channel_lost(&connection->channel);
}

int connection_open(void)
{
	int result = NVML_SUCCESS;

	pthread_rwlock_wrlock(&connection_lock);
	if (!connection_works()) {
		connection_free(connection);
		connection = NULL;
		result = connect_new(&connection);
		last_failure = result;
		last_failure_ns = now_ns();
		if (!result)
			idle_watch();
	}
	pthread_rwlock_unlock(&connection_lock);
	return result;
}

void connection_close(void)
{
	pthread_rwlock_wrlock(&connection_lock);
	connection_free(connection);
	connection = NULL;
	pthread_rwlock_unlock(&connection_lock);
}

unsigned int connection_device_count(void)
{
	return __atomic_load_n(&device_count, __ATOMIC_ACQUIRE);
}

/* Takes the lock for reading with a connection that works; not taken if the result is a failure. */
static int connection_hold(void)
{
	int result;

	pthread_rwlock_rdlock(&connection_lock);
	if (connection_works())
		return NVML_SUCCESS;
	result = last_failure && now_ns() - last_failure_ns < RETRY_NS ? last_failure : NVML_SUCCESS;
	pthread_rwlock_unlock(&connection_lock);
	if (!result)
		result = connection_open();
	if (result)
		return result;
	pthread_rwlock_rdlock(&connection_lock);
	if (connection_works())
		return NVML_SUCCESS;
	pthread_rwlock_unlock(&connection_lock);
	return NVML_ERROR_GPU_IS_LOST;
}

/* One try; NVML_ERROR_GPU_IS_LOST: the channel was lost, and another one may do. */
static int request_try(uint16_t opcode, const struct connection_piece *pieces, size_t piece_count,
		       struct channel_waiter *waiter)
{
	int result = connection_hold();

	if (result)
		return result;
	if (!exchange(&connection->channel, opcode, pieces, piece_count, waiter))
		result = channel_lost(&connection->channel) ? NVML_ERROR_GPU_IS_LOST : NVML_ERROR_UNKNOWN;
	__atomic_store_n(&last_use_ns, now_ns(), __ATOMIC_RELAXED);
	pthread_rwlock_unlock(&connection_lock);
	return result;
}

int connection_request(uint16_t opcode, const struct connection_piece *pieces, size_t piece_count, void *reply,
		       size_t capacity, size_t *ret_bytes)
{
	struct channel_waiter waiter = {.reply = reply, .capacity = capacity};
	int result = request_try(opcode, pieces, piece_count, &waiter);

	/* The loss shows only now, and asking again does no harm. */
	if (result == NVML_ERROR_GPU_IS_LOST) {
		waiter = (struct channel_waiter){.reply = reply, .capacity = capacity};
		result = request_try(opcode, pieces, piece_count, &waiter);
	}
	*ret_bytes = waiter.bytes < capacity ? waiter.bytes : capacity;
	return result;
}
