/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_executor.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host_calls.h"

/* Requests that wait for their reply, so that replies can come out of order. */
#define HELD_MAX 8

struct held {
	uint8_t record[VGPU_RECORD_BYTES_MAX];
};

struct fake_executor {
	struct transport transport;
	int doorbell;
	int interrupt;
	bool lazy;
	bool stop;
	bool dead;
	pthread_t thread;
	struct vgpu_channel_header *header;
	struct ring commands;
	struct ring replies;
	uint8_t *device;
	uint8_t *upload;
	uint8_t *download;
	uint32_t counted;
	uint32_t random;
	struct held held[HELD_MAX];
	size_t held_count;
	uint8_t record[VGPU_RECORD_BYTES_MAX];
};

/* For transfer.c: nothing ever waits. */
CUresult host_cuStreamSynchronize(uint32_t context, uint32_t stream)
{
	(void)context;
	(void)stream;
	return CUDA_SUCCESS;
}

static struct fake_executor *fake_of(struct transport *transport)
{
	return (struct fake_executor *)transport;
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		abort();
}

static bool wait_fd(int fd, int timeout_ms)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	uint64_t count;

	return poll(&poller, 1, timeout_ms) > 0 && read(fd, &count, sizeof(count)) == sizeof(count);
}

static void fake_ring(struct transport *transport)
{
	signal_fd(fake_of(transport)->doorbell);
}

static enum transport_event fake_wait(struct transport *transport, int timeout_ms)
{
	struct fake_executor *fake = fake_of(transport);

	if (wait_fd(fake->interrupt, timeout_ms) && !__atomic_load_n(&fake->dead, __ATOMIC_ACQUIRE))
		return TRANSPORT_INTERRUPT;
	return __atomic_load_n(&fake->dead, __ATOMIC_ACQUIRE) ? TRANSPORT_LOST : TRANSPORT_TIMEOUT;
}

static int fake_pass(struct transport *transport, int fd)
{
	(void)transport;
	(void)fd;
	return -1;
}

static void fake_close(struct transport *transport)
{
	(void)transport;
}

static const struct transport_operations operations = {
	.ring = fake_ring,
	.wait = fake_wait,
	.pass = fake_pass,
	.close = fake_close,
};

static uint32_t draw(struct fake_executor *fake)
{
	fake->random ^= fake->random << 13;
	fake->random ^= fake->random >> 17;
	fake->random ^= fake->random << 5;
	return fake->random;
}

static void send(struct fake_executor *fake, const struct vgpu_record *request, uint16_t flags, uint32_t result,
		 const void *payload, size_t bytes)
{
	uint32_t length = (uint32_t)(sizeof(struct vgpu_record) + ((bytes + 7) & ~(size_t)7));
	struct vgpu_record *record;
	void *place;

	while (ring_reserve(&fake->replies, length, &place) == RING_FULL) {
		if (ring_prepare_wait(&fake->replies, length) == RING_FULL)
			wait_fd(fake->doorbell, 1000);
		if (__atomic_load_n(&fake->stop, __ATOMIC_ACQUIRE))
			return;
	}
	record = place;
	*record = (struct vgpu_record){.length = length,
				       .opcode = request->opcode,
				       .flags = flags,
				       .sequence = request->sequence,
				       .context_or_result = result};
	memset(record + 1, 0, length - sizeof(*record));
	if (bytes)
		memcpy(record + 1, payload, bytes);
	if (ring_commit(&fake->replies))
		signal_fd(fake->interrupt);
}

static uint8_t *device_at(struct fake_executor *fake, uint64_t address)
{
	return fake->device + (address - FAKE_DEVICE_BASE);
}

static void upload(struct fake_executor *fake, const struct vgpu_upload *request)
{
	/* As the real one: in order, and within a turn of the window. */
	if (request->window_position - fake->header->upload_released > fake->header->upload_bytes ||
	    request->bytes > fake->header->upload_bytes - request->window_position % fake->header->upload_bytes)
		abort();
	memcpy(device_at(fake, request->destination),
	       fake->upload + request->window_position % fake->header->upload_bytes, request->bytes);
	__atomic_store_n(&fake->header->upload_released, request->window_position + request->bytes, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_exchange_n(&fake->header->upload_waits, 0, __ATOMIC_RELAXED))
		signal_fd(fake->interrupt);
}

static void answer(struct fake_executor *fake, const uint8_t *bytes)
{
	struct vgpu_record record;
	const void *payload = bytes + sizeof(record);
	size_t payload_bytes;
	uint32_t result = 0;

	memcpy(&record, bytes, sizeof(record));
	payload_bytes = record.length - sizeof(record);
	switch (record.opcode) {
	case FAKE_ECHO:
		memcpy(&result, payload, sizeof(result));
		send(fake, &record, VGPU_FLAG_REPLY, result, payload, payload_bytes);
		break;
	case FAKE_TOTAL:
		send(fake, &record, VGPU_FLAG_REPLY, 0, &fake->counted, sizeof(fake->counted));
		break;
	case VGPU_OPCODE_DOWNLOAD: {
		struct vgpu_download request;

		memcpy(&request, payload, sizeof(request));
		memcpy(fake->download + request.window_offset, device_at(fake, request.source), request.bytes);
		send(fake, &record, VGPU_FLAG_REPLY, 0, NULL, 0);
		break;
	}
	case VGPU_OPCODE_DOWNLOAD_INLINE: {
		struct vgpu_download_inline request;

		memcpy(&request, payload, sizeof(request));
		send(fake, &record, VGPU_FLAG_REPLY, 0, device_at(fake, request.source), request.bytes);
		break;
	}
	default:
		abort();
	}
}

/* Answers one of the requests that are held back, any. */
static void answer_one(struct fake_executor *fake)
{
	size_t index = draw(fake) % fake->held_count;

	answer(fake, fake->held[index].record);
	fake->held[index] = fake->held[--fake->held_count];
}

static void take(struct fake_executor *fake)
{
	struct vgpu_record record;
	const uint8_t *payload = fake->record + sizeof(record);

	memcpy(&record, fake->record, sizeof(record));
	switch (record.opcode) {
	case FAKE_COUNT:
		fake->counted++;
		return;
	case FAKE_PRINT: {
		struct vgpu_record event = {.opcode = VGPU_OPCODE_PRINT};

		send(fake, &event, VGPU_FLAG_EVENT, 0, payload, record.length - sizeof(record));
		return;
	}
	case FAKE_FAIL:
		__atomic_store_n(&fake->header->deferred_error,
				 (uint64_t)record.sequence << 32 | CUDA_ERROR_INVALID_VALUE, __ATOMIC_RELEASE);
		return;
	case FAKE_DIE:
		__atomic_store_n(&fake->dead, true, __ATOMIC_RELEASE);
		signal_fd(fake->interrupt);
		return;
	case FAKE_GARBAGE:
		record.sequence += 1000000;
		send(fake, &record, VGPU_FLAG_REPLY, 0, NULL, 0);
		return;
	case VGPU_OPCODE_UPLOAD: {
		struct vgpu_upload request;

		memcpy(&request, payload, sizeof(request));
		upload(fake, &request);
		return;
	}
	case VGPU_OPCODE_UPLOAD_INLINE: {
		struct vgpu_upload_inline request;

		memcpy(&request, payload, sizeof(request));
		memcpy(device_at(fake, request.destination), payload + sizeof(request), request.bytes);
		return;
	}
	default:
		if (fake->held_count == HELD_MAX)
			answer_one(fake);
		memcpy(fake->held[fake->held_count++].record, fake->record, record.length);
	}
}

static void *fake_run(void *argument)
{
	struct fake_executor *fake = argument;

	while (!__atomic_load_n(&fake->stop, __ATOMIC_ACQUIRE)) {
		enum ring_status status = ring_take(&fake->commands, fake->record, sizeof(fake->record));

		if (status == RING_FATAL)
			abort();
		if (status == RING_OK && !fake->dead) {
			if (ring_producer_waits(&fake->commands))
				signal_fd(fake->interrupt);
			take(fake);
			continue;
		}
		if (fake->held_count && !fake->dead) {
			answer_one(fake);
			continue;
		}
		if (!fake->lazy)
			for (int i = 0; i < 100; i++)
				processor_relax();
		if (ring_prepare_sleep(&fake->commands) == RING_EMPTY || fake->dead)
			wait_fd(fake->doorbell, 100);
		ring_wake(&fake->commands);
	}
	return NULL;
}

struct fake_executor *fake_executor_start(size_t bytes, bool lazy)
{
	struct fake_executor *fake = calloc(1, sizeof(*fake));
	uint32_t windows = 4096 + VGPU_COMMAND_RING_BYTES + VGPU_REPLY_RING_BYTES;
	struct vgpu_channel_header *header;

	if (!fake)
		abort();
	windows = (windows + 65535) & ~65535u;
	fake->transport = (struct transport){.operations = &operations, .bytes = bytes};
	fake->transport.memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fake->device = malloc(FAKE_DEVICE_BYTES);
	if (fake->transport.memory == MAP_FAILED || !fake->device)
		abort();
	fake->lazy = lazy;
	fake->random = 99;
	fake->doorbell = eventfd(0, EFD_NONBLOCK);
	fake->interrupt = eventfd(0, EFD_NONBLOCK);
	fake->header = header = fake->transport.memory;
	*header = (struct vgpu_channel_header){
		.magic = VGPU_CHANNEL_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.channel_bytes = bytes,
		.command_ring_offset = 4096,
		.command_ring_bytes = VGPU_COMMAND_RING_BYTES,
		.reply_ring_offset = 4096 + VGPU_COMMAND_RING_BYTES,
		.reply_ring_bytes = VGPU_REPLY_RING_BYTES,
		.upload_offset = windows,
		.upload_bytes = (uint32_t)(bytes - windows) / 2 & ~4095u,
	};
	header->download_offset = windows + header->upload_bytes;
	header->download_bytes = header->upload_bytes;
	fake->upload = (uint8_t *)header + header->upload_offset;
	fake->download = (uint8_t *)header + header->download_offset;
	ring_attach(&fake->commands, &header->command, (uint8_t *)header + header->command_ring_offset,
		    header->command_ring_bytes);
	ring_attach(&fake->replies, &header->reply, (uint8_t *)header + header->reply_ring_offset,
		    header->reply_ring_bytes);
	if (pthread_create(&fake->thread, NULL, fake_run, fake))
		abort();
	return fake;
}

struct transport *fake_executor_transport(struct fake_executor *fake)
{
	return &fake->transport;
}

const uint8_t *fake_executor_device(struct fake_executor *fake)
{
	return fake->device;
}

void fake_executor_stop(struct fake_executor *fake)
{
	__atomic_store_n(&fake->stop, true, __ATOMIC_RELEASE);
	signal_fd(fake->doorbell);
	pthread_join(fake->thread, NULL);
	munmap(fake->transport.memory, fake->transport.bytes);
	close(fake->doorbell);
	close(fake->interrupt);
	free(fake->device);
	free(fake);
}
