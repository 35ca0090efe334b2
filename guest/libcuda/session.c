/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address_space.h"
#include "call.h"
#include "context.h"
#include "object_table.h"
#include "settings.h"
#include "transport.h"
#include "vgpu_api_wire.h"

/* The host's driver takes seconds to start at worst; who is silent for longer will not answer any more. */
#define START_TIMEOUT_MS 60000

struct session session;

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;

static CUresult failure_result(enum vgpu_channel_error error)
{
	switch (error) {
	case VGPU_ERROR_NONE:
	case VGPU_ERROR_NO_MEDIATOR:
		return CUDA_ERROR_NO_DEVICE;
	case VGPU_ERROR_VERSION:
		return CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
	case VGPU_ERROR_REFUSED:
		return CUDA_ERROR_DEVICE_UNAVAILABLE;
	case VGPU_ERROR_NO_MEMORY:
		return CUDA_ERROR_OUT_OF_MEMORY;
	case VGPU_ERROR_NO_DRIVER:
	case VGPU_ERROR_EXECUTOR_DIED:
	case VGPU_ERROR_HOST_MEMORY:
	case VGPU_ERROR_EXECUTOR_ENDED:
	case VGPU_ERROR_EXECUTOR_HUNG:
	case VGPU_ERROR_MEDIATOR_LOST:
	case VGPU_ERROR_START_TIMEOUT:
		return CUDA_ERROR_SYSTEM_NOT_READY;
	case VGPU_ERROR_PROTOCOL:
	case VGPU_ERROR_KERNEL_TIMEOUT:
		break;
	}
	return CUDA_ERROR_UNKNOWN;
}

/* A person has to learn why there is no GPU; programs often say only that there is none. */
static void complain(const char *text)
{
	static bool done;

	if (!done)
		fprintf(stderr, "vgpu-cuda: %s\n", text);
	done = true;
}

static CUresult hello(struct vgpu_hello_reply *ret_reply)
{
	struct vgpu_hello hello = {
		.version = VGPU_PROTOCOL_VERSION,
		.api_checksum = VGPU_API_CHECKSUM,
		.features = VGPU_FEATURE_SHARE | VGPU_FEATURE_HOST_AREA | VGPU_FEATURE_FUNCTION_END |
			    VGPU_FEATURE_HOST_PLACE | VGPU_FEATURE_ERROR_OF |
			    (session.channel->transport->can_pass ? VGPU_FEATURE_HOST_MAP : 0),
		.process_id = (uint32_t)getpid(),
		.settings = settings_read(),
	};
	const char *visible = getenv("CUDA_VISIBLE_DEVICES");
	char wish[VGPU_VISIBLE_BYTES_MAX];
	const struct call_piece pieces[] = {{&hello, sizeof(hello)}, {wish, sizeof(wish)}};
	CUresult result;

	/* Zeros behind it. */
	strncpy(wish, visible ? visible : "", sizeof(wish) - 1);
	wish[sizeof(wish) - 1] = '\0';
	snprintf(hello.process_name, sizeof(hello.process_name), "%s", program_invocation_short_name);
	result = call_wait_for(VGPU_OPCODE_HELLO, pieces, visible ? 2 : 1, ret_reply, sizeof(*ret_reply),
			       START_TIMEOUT_MS);
	if (result && channel_lost(session.channel)) {
		complain("the executor does not answer");
		return CUDA_ERROR_SYSTEM_NOT_READY;
	}
	if (result) {
		complain("the executor refused the greeting");
		return result;
	}
	if (ret_reply->version >> 16 != VGPU_PROTOCOL_MAJOR || ret_reply->api_checksum != VGPU_API_CHECKSUM) {
		complain("library and host are of different versions");
		return CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
	}
	if (ret_reply->init_result)
		return (CUresult)ret_reply->init_result;
	if (ret_reply->device_count == 0)
		return CUDA_ERROR_NO_DEVICE;
	return ret_reply->device_count <= SESSION_DEVICES_MAX ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

static CUresult snapshot_take(uint32_t device, struct vgpu_snapshot_reply *ret_snapshot)
{
	struct vgpu_snapshot_request request = {.device = device};
	const struct call_piece pieces[] = {{&request, sizeof(request)}};
	CUresult result;

	result = call_wait_for(VGPU_OPCODE_SNAPSHOT, pieces, 1, ret_snapshot, sizeof(*ret_snapshot), START_TIMEOUT_MS);
	if (result)
		return channel_lost(session.channel) ? CUDA_ERROR_SYSTEM_NOT_READY : result;
	ret_snapshot->name[sizeof(ret_snapshot->name) - 1] = '\0';
	ret_snapshot->pci_bus_id[sizeof(ret_snapshot->pci_bus_id) - 1] = '\0';
	return CUDA_SUCCESS;
}

/* In the child of a fork; the other threads are gone, whatever they held. */
static void forked(void)
{
	if (session.status != SESSION_READY)
		return;
	session.status = SESSION_FORKED;
	transport_close(session.channel->transport);
}

static CUresult learn(void)
{
	const char *blocking = getenv("CUDA_LAUNCH_BLOCKING");
	struct vgpu_snapshot_reply *devices = NULL;
	struct vgpu_hello_reply reply;
	CUresult result;

	result = hello(&reply);
	if (result)
		return result;
	devices = calloc(reply.device_count, sizeof(*devices));
	if (!devices)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (uint32_t i = 0; i < reply.device_count && !result; i++)
		result = snapshot_take(i, &devices[i]);
	if (!result)
		result = contexts_prepare(reply.device_count);
	if (result) {
		free(devices);
		return result;
	}
	session.features = reply.features;
	session.channel->errors_name_context = reply.features & VGPU_FEATURE_ERROR_OF;
	session.is_launch_blocking = blocking && strtol(blocking, NULL, 10) != 0;
	session.driver_version = reply.driver_version;
	session.device_count = reply.device_count;
	session.devices = devices;
	return CUDA_SUCCESS;
}

static CUresult session_connect(void)
{
	struct transport_failure failure = {0};
	struct transport *transport = NULL;
	struct channel *channel = NULL;
	CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

	if (!object_table_prepare())
		return CUDA_ERROR_OUT_OF_MEMORY;
	/* Before anything is mapped that could lie in the way. */
	address_space_reserve();
	channel = aligned_alloc(64, (sizeof(*channel) + 63) & ~(size_t)63);
	if (!channel)
		goto failed;
	transport = transport_open(&failure);
	if (!transport) {
		complain(failure.text);
		result = failure_result(failure.error);
		goto failed;
	}
	if (!channel_attach(channel, transport)) {
		complain("the host offers a channel of another version");
		result = CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
		goto failed;
	}
	session.channel = channel;
	upload_window_prepare(&session.upload, channel);
	download_window_prepare(&session.download, channel);
	result = learn();
	if (result)
		goto failed;
	if (pthread_atfork(NULL, NULL, forked)) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
		goto failed;
	}
	__atomic_store_n(&session.status, SESSION_READY, __ATOMIC_RELEASE);
	return CUDA_SUCCESS;

failed:
	session.channel = NULL;
	transport_close(transport);
	free(channel);
	return result;
}

CUresult session_open(void)
{
	CUresult result = CUDA_SUCCESS;

	if (session_ready())
		return CUDA_SUCCESS;
	if (__atomic_load_n(&session.status, __ATOMIC_ACQUIRE) == SESSION_FORKED)
		return CUDA_ERROR_NOT_INITIALIZED;
	pthread_mutex_lock(&open_lock);
	if (session.status == SESSION_NONE)
		result = session_connect();
	pthread_mutex_unlock(&open_lock);
	return result;
}
