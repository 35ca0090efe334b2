/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int memory_make(size_t bytes)
{
	int file = memfd_create("test", MFD_CLOEXEC);

	assert_true(file >= 0);
	assert_int_equal(ftruncate(file, (off_t)bytes), 0);
	return file;
}

static void *memory_map(int file, size_t bytes)
{
	void *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

	assert_ptr_not_equal(mapping, MAP_FAILED);
	return mapping;
}

static void start_send(struct peer *peer, int control, const char *driver, int counters, int pass)
{
	struct control_message message = {.fd_count = 0};
	const int descriptors[] = {peer->memory, peer->doorbell, peer->interrupt, counters, pass};
	size_t count = peer->is_machine ? 4 : 5;
	int permit = memory_make(VGPU_SCHEDULE_PAGE_BYTES);
	int tenant = memory_make(VGPU_SCHEDULE_PAGE_BYTES);

	peer->permit = memory_map(permit, VGPU_SCHEDULE_PAGE_BYTES);
	peer->tenant = memory_map(tenant, VGPU_SCHEDULE_PAGE_BYTES);
	peer->permit->word = VGPU_PERMIT_WORD(1, VGPU_PERMIT_OPEN);
	peer->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	peer->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	message.executor_start.channel_bytes = peer->channel_bytes;
	message.executor_start.vm_id = 7;
	message.executor_start.has_pass_socket = !peer->is_machine;
	message.executor_start.has_area = peer->is_machine;
	message.executor_start.has_schedule = 1;
	message.executor_start.can_share = peer->can_share;
	snprintf(message.executor_start.driver_library, sizeof(message.executor_start.driver_library), "%s", driver);
	memcpy(message.fds, descriptors, count * sizeof(descriptors[0]));
	message.fds[count++] = permit;
	message.fds[count++] = tenant;
	message.fds[count++] = peer->wake;
	message.fds[count++] = peer->bell;
	message.fd_count = count;
	assert_int_equal(control_send(control, VGPU_CONTROL_EXECUTOR_START, &message), 0);
	close(permit);
	close(tenant);
}

/* The next control message, or false at the socket's end or after the time. */
static bool message_take(struct peer *peer, int timeout_ms, struct control_message *ret_message)
{
	struct pollfd wait = {.fd = peer->control, .events = POLLIN};

	return poll(&wait, 1, timeout_ms) > 0 && control_receive(peer->control, ret_message) == 1;
}

/* What the peer is, is_machine and can_share, is in *peer; the rest of it is filled. */
static bool peer_start_as(struct peer *peer, const char *driver, uint64_t channel_bytes)
{
	int sockets[2];
	int passes[2];
	int counters = memory_make(4096);
	struct control_message message;

	*peer = (struct peer){
		.channel_bytes = channel_bytes, .is_machine = peer->is_machine, .can_share = peer->can_share};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, passes), 0);
	peer->control = sockets[0];
	peer->pass = passes[0];
	peer->memory = memory_make(channel_bytes);
	peer->channel = memory_map(peer->memory, channel_bytes);
	peer->counters = memory_map(counters, 4096);
	peer->claims = (struct vgpu_executor_schedule *)(void *)((uint8_t *)peer->counters + VGPU_SCHEDULE_OFFSET);
	peer->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	peer->interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	start_send(peer, sockets[0], driver, counters, passes[1]);
	peer->process = peer_executor_start(sockets[1]);
	close(sockets[1]);
	close(passes[1]);
	close(counters);
	assert_true(message_take(peer, PEER_TIMEOUT_MS, &message));
	if (message.header.type != VGPU_CONTROL_EXECUTOR_READY) {
		peer->result = message.channel.error;
		snprintf(peer->printed, sizeof(peer->printed), "%s", message.channel.text);
		return false;
	}
	peer->header = (struct vgpu_channel_header *)peer->channel;
	assert_int_equal(peer->header->magic, VGPU_CHANNEL_MAGIC);
	ring_attach(&peer->commands, &peer->header->command, peer->channel + peer->header->command_ring_offset,
		    peer->header->command_ring_bytes);
	ring_attach(&peer->replies, &peer->header->reply, peer->channel + peer->header->reply_ring_offset,
		    peer->header->reply_ring_bytes);
	return true;
}

bool peer_start(struct peer *peer, const char *driver, uint64_t channel_bytes)
{
	*peer = (struct peer){.is_machine = false};
	return peer_start_as(peer, driver, channel_bytes);
}

static void peer_release(struct peer *peer)
{
	munmap(peer->channel, peer->channel_bytes);
	munmap(peer->counters, 4096);
	munmap(peer->permit, VGPU_SCHEDULE_PAGE_BYTES);
	munmap(peer->tenant, VGPU_SCHEDULE_PAGE_BYTES);
	close(peer->wake);
	close(peer->bell);
	close(peer->control);
	close(peer->memory);
	close(peer->doorbell);
	close(peer->interrupt);
	close(peer->pass);
}

struct peer_end peer_wait(struct peer *peer)
{
	struct peer_end end = {0};
	uint64_t deadline = now_ms() + PEER_TIMEOUT_MS;
	struct control_message message;
	int status = 0;

	while (waitpid(peer->process, &status, WNOHANG) == 0) {
		if (now_ms() > deadline)
			kill(peer->process, SIGKILL);
		usleep(1000);
	}
	while (peer->control >= 0 && message_take(peer, 0, &message)) {
		end.message = message.header.type;
		end.error = message.channel.error;
		snprintf(end.text, sizeof(end.text), "%s", message.channel.text);
	}
	end.by_signal = WIFSIGNALED(status);
	end.status = end.by_signal ? WTERMSIG(status) : WEXITSTATUS(status);
	peer_release(peer);
	peer->process = 0;
	return end;
}

struct peer_end peer_close(struct peer *peer)
{
	shutdown(peer->control, SHUT_RDWR);
	return peer_wait(peer);
}

bool peer_has_ended(struct peer *peer)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)peer->process, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

static void doorbell_ring(struct peer *peer)
{
	uint64_t one = 1;

	assert_int_equal(write(peer->doorbell, &one, sizeof(one)), sizeof(one));
}

/* Waits a little for the executor's interrupt. */
static void interrupt_wait(struct peer *peer)
{
	struct pollfd wait = {.fd = peer->interrupt, .events = POLLIN};
	uint64_t count;

	/* Host functions do nothing here. */
	__atomic_store_n(&peer->header->functions_returned,
			 __atomic_load_n(&peer->header->functions_called, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
	if (poll(&wait, 1, 20) > 0 && read(peer->interrupt, &count, sizeof(count)) < 0)
		assert_int_equal(errno, EAGAIN);
}

bool peer_post(struct peer *peer, uint16_t opcode, uint16_t flags, uint32_t context, const void *payload, size_t bytes)
{
	struct vgpu_record header = {
		.length = (uint32_t)((sizeof(header) + bytes + 7) & ~(size_t)7),
		.opcode = opcode,
		.flags = flags,
		.sequence = ++peer->sequence,
		.context_or_result = context,
	};
	uint64_t deadline = now_ms() + PEER_TIMEOUT_MS;
	enum ring_status status;
	void *place;

	while ((status = ring_reserve(&peer->commands, header.length, &place)) == RING_FULL) {
		if (peer_has_ended(peer) || now_ms() > deadline)
			return false;
		if (ring_prepare_wait(&peer->commands, header.length) == RING_FULL)
			interrupt_wait(peer);
	}
	assert_int_equal(status, RING_OK);
	memcpy(place, &header, sizeof(header));
	if (bytes)
		memcpy((uint8_t *)place + sizeof(header), payload, bytes);
	if (ring_commit(&peer->commands))
		doorbell_ring(peer);
	return true;
}

bool peer_take(struct peer *peer, struct vgpu_record *ret_header)
{
	uint64_t deadline = now_ms() + PEER_TIMEOUT_MS;
	uint8_t *record = peer->reply;

	for (;;) {
		enum ring_status status = ring_take(&peer->replies, record, sizeof(peer->reply));

		assert_int_not_equal(status, RING_FATAL);
		if (status == RING_OK)
			break;
		if (peer_has_ended(peer) || now_ms() > deadline)
			return false;
		if (ring_prepare_sleep(&peer->replies) == RING_EMPTY) {
			interrupt_wait(peer);
			ring_wake(&peer->replies);
		}
	}
	if (ring_producer_waits(&peer->replies))
		doorbell_ring(peer);
	memcpy(ret_header, record, sizeof(*ret_header));
	memmove(record, record + sizeof(*ret_header), ret_header->length - sizeof(*ret_header));
	return true;
}

void peer_replies_drop(struct peer *peer)
{
	while (ring_take(&peer->replies, peer->reply, sizeof(peer->reply)) == RING_OK) {
	}
	if (ring_producer_waits(&peer->replies))
		doorbell_ring(peer);
}

uint32_t peer_call(struct peer *peer, uint16_t opcode, uint32_t context, const void *payload, size_t bytes)
{
	struct vgpu_record header;
	uint32_t sequence;

	if (!peer_post(peer, opcode, VGPU_FLAG_REPLY, context, payload, bytes))
		return UINT32_MAX;
	sequence = peer->sequence;
	while (peer_take(peer, &header)) {
		if (header.flags & VGPU_FLAG_EVENT) {
			size_t text = strnlen((char *)peer->reply, header.length - sizeof(header));

			assert_int_equal(header.opcode, VGPU_OPCODE_PRINT);
			assert_true(peer->printed_bytes + text < sizeof(peer->printed));
			memcpy(peer->printed + peer->printed_bytes, peer->reply, text);
			peer->printed_bytes += text;
			peer->printed[peer->printed_bytes] = '\0';
			continue;
		}
		if (header.sequence != sequence)
			continue;
		assert_int_equal(header.opcode, opcode);
		peer->result = header.context_or_result;
		return peer->result;
	}
	return UINT32_MAX;
}

static void peer_open_as(struct peer *peer, uint64_t channel_bytes, bool is_machine, bool can_share)
{
	struct vgpu_hello hello = {
		.version = VGPU_PROTOCOL_VERSION,
		.api_checksum = VGPU_API_CHECKSUM,
		.features = VGPU_FEATURE_HOST_MAP | VGPU_FEATURE_HOST_AREA | VGPU_FEATURE_FUNCTION_END,
		.process_name = "test",
	};
	const char *driver = getenv("VGPU_TEST_DRIVER");

	assert_non_null(driver);
	*peer = (struct peer){.is_machine = is_machine, .can_share = can_share};
	assert_true(peer_start_as(peer, driver, channel_bytes));
	assert_int_equal(peer_call(peer, VGPU_OPCODE_HELLO, 0, &hello, sizeof(hello)), CUDA_SUCCESS);
}

void peer_open(struct peer *peer)
{
	peer_open_as(peer, PEER_CHANNEL_BYTES, false, false);
}

void peer_open_sharing(struct peer *peer)
{
	peer_open_as(peer, PEER_CHANNEL_BYTES, false, true);
}

void peer_told(struct peer *peer, struct control_message *ret_message)
{
	assert_true(message_take(peer, PEER_TIMEOUT_MS, ret_message));
}

void peer_open_machine(struct peer *peer, uint64_t channel_bytes)
{
	peer_open_as(peer, channel_bytes, true, false);
}

uint32_t peer_context_make(struct peer *peer, uint32_t index)
{
	struct wire_cuCtxCreate_v2 request = {.pctx = VGPU_ID(VGPU_KIND_CONTEXT, index)};

	assert_int_equal(peer_call(peer, VGPU_CALL_cuCtxCreate_v2, 0, &request, sizeof(request)), CUDA_SUCCESS);
	return request.pctx;
}

bool peer_descriptor_pass(struct peer *peer, int file)
{
	char byte = 0;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	union {
		struct cmsghdr header;
		unsigned char bytes[CMSG_SPACE(sizeof(int))];
	} space = {0};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof(space)};

	space.header.cmsg_level = SOL_SOCKET;
	space.header.cmsg_type = SCM_RIGHTS;
	space.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&space.header), &file, sizeof(file));
	return sendmsg(peer->pass, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}
