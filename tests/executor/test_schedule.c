/* SPDX-License-Identifier: Apache-2.0 */
/* The executor's side of scheduling and limits, against a scheduler that is this test. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "peer.h"
#include "strict_limits.h"

enum { QUIET_MS = 100, PATIENCE_MS = 30000, LONG_US = 5000, BELOW_STALL_US = 40000, TRIES = 12 };

#define FUNCTION VGPU_ID(VGPU_KIND_FUNCTION, 1)

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void permit_set(struct peer *peer, uint32_t number, enum vgpu_permit_mode mode, uint64_t until_ns)
{
	uint64_t one = 1;

	peer->permit->burst_count = 2;
	peer->permit->burst_ns = 500000;
	peer->permit->linger_ns = 1000000;
	__atomic_store_n(&peer->permit->until_ns, until_ns, __ATOMIC_SEQ_CST);
	__atomic_store_n(&peer->permit->word, VGPU_PERMIT_WORD(number, mode), __ATOMIC_SEQ_CST);
	assert_int_equal(write(peer->wake, &one, sizeof(one)), (int)sizeof(one));
}

static bool value_becomes(const uint32_t *value, uint32_t wanted)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (__atomic_load_n(value, __ATOMIC_ACQUIRE) == wanted)
			return true;
		usleep(1000);
	}
	return false;
}

static bool bell_rings(struct peer *peer, int timeout_ms)
{
	struct pollfd wait = {.fd = peer->bell, .events = POLLIN};
	uint64_t count;

	return poll(&wait, 1, timeout_ms) > 0 && read(peer->bell, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

static void memory_info_post(struct peer *peer, uint32_t context)
{
	assert_true(peer_post(peer, VGPU_CALL_cuMemGetInfo_v2, VGPU_FLAG_REPLY, context, NULL, 0));
}

static bool reply_comes(struct peer *peer)
{
	struct vgpu_record header;

	return peer_take(peer, &header);
}

/* Without waiting for long. */
static bool reply_is_there(const struct peer *peer)
{
	usleep(QUIET_MS * 1000);
	return __atomic_load_n(&peer->header->reply.tail, __ATOMIC_ACQUIRE) != peer->replies.own;
}

static void test_closed(void **state)
{
	struct peer peer;
	uint32_t context;

	(void)state;
	peer_open(&peer);
	context = peer_context_make(&peer, 1);
	permit_set(&peer, 2, VGPU_PERMIT_CLOSED, 0);
	assert_true(value_becomes(&peer.claims->done, VGPU_PERMIT_WORD(2, VGPU_PERMIT_CLOSED)));
	assert_int_equal(peer.claims->busy, 0);
	assert_int_equal(peer.claims->demand, 0);
	while (bell_rings(&peer, 0))
		continue;
	memory_info_post(&peer, context);
	assert_true(bell_rings(&peer, PATIENCE_MS));
	assert_int_equal(peer.claims->demand, 1);
	assert_false(reply_is_there(&peer));
	permit_set(&peer, 3, VGPU_PERMIT_SLICED, VGPU_TIME_NEVER);
	assert_true(reply_comes(&peer));
	assert_int_equal(peer.claims->permit_waits, 1);
	assert_true(peer.claims->permit_wait_ns > (uint64_t)QUIET_MS * 1000000u / 2);
	peer_close(&peer);
}

/* Nobody else has work: it keeps the permit, and can lose it without being asked. */
static void test_idle_needs_no_answer(void **state)
{
	struct peer peer;
	uint32_t context;

	(void)state;
	peer_open(&peer);
	context = peer_context_make(&peer, 1);
	permit_set(&peer, 2, VGPU_PERMIT_SLICED, VGPU_TIME_NEVER);
	memory_info_post(&peer, context);
	assert_true(reply_comes(&peer));
	assert_true(value_becomes(&peer.claims->busy, 0));
	assert_int_not_equal(peer.claims->done, VGPU_PERMIT_WORD(2, VGPU_PERMIT_SLICED));
	memory_info_post(&peer, context);
	assert_true(reply_comes(&peer));
	peer_close(&peer);
}

static void test_slice_ends(void **state)
{
	struct peer peer;
	uint32_t context;

	(void)state;
	peer_open(&peer);
	context = peer_context_make(&peer, 1);
	permit_set(&peer, 2, VGPU_PERMIT_SLICED, now_ns() + 50000000);
	/* Without work it gives the permit back early, and asks again. */
	assert_true(value_becomes(&peer.claims->done, VGPU_PERMIT_WORD(2, VGPU_PERMIT_SLICED)));
	assert_int_equal(peer.claims->busy, 0);
	memory_info_post(&peer, context);
	assert_true(value_becomes(&peer.claims->demand, 1));
	permit_set(&peer, 3, VGPU_PERMIT_SLICED, now_ns());
	/* Over before it began: nothing was done under it. */
	assert_true(value_becomes(&peer.claims->done, VGPU_PERMIT_WORD(3, VGPU_PERMIT_SLICED)));
	assert_false(reply_is_there(&peer));
	permit_set(&peer, 4, VGPU_PERMIT_OPEN, VGPU_TIME_NEVER);
	assert_true(reply_comes(&peer));
	peer_close(&peer);
}

/* The highest class begins without a grant, and says so; the grant that follows changes nothing. */
static void test_standby(void **state)
{
	struct peer peer;
	uint32_t context;

	(void)state;
	peer_open(&peer);
	context = peer_context_make(&peer, 1);
	permit_set(&peer, 2, VGPU_PERMIT_CLOSED, 0);
	assert_true(value_becomes(&peer.claims->done, VGPU_PERMIT_WORD(2, VGPU_PERMIT_CLOSED)));
	permit_set(&peer, 3, VGPU_PERMIT_STANDBY, VGPU_TIME_NEVER);
	while (bell_rings(&peer, QUIET_MS))
		continue;
	assert_int_equal(peer.claims->demand, 0);
	assert_int_equal(peer.claims->busy, 0);
	memory_info_post(&peer, context);
	assert_true(bell_rings(&peer, PATIENCE_MS));
	assert_int_equal(peer.claims->demand, 1);
	assert_int_equal(peer.claims->busy, 1);
	assert_true(reply_comes(&peer));
	memory_info_post(&peer, context);
	assert_true(reply_comes(&peer));
	assert_int_equal(peer.claims->permit_waits, 0);
	permit_set(&peer, 4, VGPU_PERMIT_SLICED, now_ns() + 50000000);
	assert_true(value_becomes(&peer.claims->demand, 0));
	assert_true(value_becomes(&peer.claims->done, VGPU_PERMIT_WORD(4, VGPU_PERMIT_SLICED)));
	/* Taken back, it asks as others do. */
	permit_set(&peer, 5, VGPU_PERMIT_STANDBY, VGPU_TIME_NEVER);
	permit_set(&peer, 6, VGPU_PERMIT_CLOSED, 0);
	memory_info_post(&peer, context);
	assert_true(value_becomes(&peer.claims->demand, 1));
	assert_false(reply_is_there(&peer));
	permit_set(&peer, 7, VGPU_PERMIT_SLICED, VGPU_TIME_NEVER);
	assert_true(reply_comes(&peer));
	peer_close(&peer);
}

static void test_memory_limit(void **state)
{
	struct wire_cuMemAlloc_v2 allocation = {.bytesize = 1 << 20};
	struct peer peer;
	uint32_t context;

	(void)state;
	peer_open(&peer);
	context = peer_context_make(&peer, 1);
	/* Somebody else of the tenant has the rest. */
	peer.tenant->memory_bytes = 5 << 20;
	peer.permit->limits.memory_bytes = 6 << 20;
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemAlloc_v2, context, &allocation, sizeof(allocation)),
			 CUDA_SUCCESS);
	assert_int_equal(peer.tenant->memory_bytes, 6 << 20);
	assert_int_equal(peer.claims->memory_charged, 1 << 20);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemAlloc_v2, context, &allocation, sizeof(allocation)),
			 CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(peer.tenant->memory_bytes, 6 << 20);
	allocation.bytesize = UINT64_MAX;
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemAlloc_v2, context, &allocation, sizeof(allocation)),
			 CUDA_ERROR_OUT_OF_MEMORY);
	/* Lowered below what there is: nothing more, and nothing is taken away. */
	peer.permit->limits.memory_bytes = 1 << 20;
	allocation.bytesize = 4096;
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemAlloc_v2, context, &allocation, sizeof(allocation)),
			 CUDA_ERROR_OUT_OF_MEMORY);
	peer.permit->limits.memory_bytes = 0;
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemAlloc_v2, context, &allocation, sizeof(allocation)),
			 CUDA_SUCCESS);
	peer_close(&peer);
}

/* The strict driver takes a microsecond for each block. */
static void kernels_post(struct peer *peer, uint32_t context, uint32_t stream, uint64_t sum, unsigned count,
			 uint32_t long_us)
{
	const struct {
		struct vgpu_launch launch;
		uint64_t parameters[3];
	} record = {
		.launch = {.function = FUNCTION,
			   .stream = stream,
			   .grid = {long_us, 1, 1},
			   .block = {32, 1, 1},
			   .parameter_bytes = 24},
		.parameters = {sum, 1, 2},
	};

	for (unsigned i = 0; i < count; i++)
		assert_true(peer_post(peer, VGPU_OPCODE_LAUNCH, 0, context, &record, sizeof(record)));
}

static void module_post(struct peer *peer, uint32_t context, uint32_t module)
{
	static const char ptx[] = ".version 7.0\n.target sm_70\n.address_size 64\n.visible .entry add() { ret; }\n ";
	struct {
		struct vgpu_stage stage;
		uint64_t piece_bytes;
		char text[(sizeof(ptx) + 7) / 8 * 8];
	} image = {.stage = {.bytes = 8 + sizeof(image.text), .total_bytes = 8 + sizeof(image.text)},
		   .piece_bytes = sizeof(ptx) - 1};
	struct wire_cuModuleLoadDataEx load = {.module = module, .image_kind = 1};

	memcpy(image.text, ptx, sizeof(ptx));
	assert_true(peer_post(peer, VGPU_OPCODE_STAGE, 0, context, &image, sizeof(image)));
	assert_true(peer_post(peer, VGPU_CALL_cuModuleLoadDataEx, VGPU_FLAG_REPLY, context, &load, sizeof(load)));
}

/* A context with FUNCTION and a word for it. */
static uint32_t context_with_kernel(struct peer *peer, uint64_t *ret_sum)
{
	struct {
		struct wire_cuModuleGetFunction request;
		char name[8];
	} function = {{FUNCTION, VGPU_ID(VGPU_KIND_MODULE, 1), 4}, "add"};
	struct wire_cuMemAlloc_v2 allocation = {.bytesize = sizeof(uint64_t)};
	struct wire_cuMemAlloc_v2_reply sum;
	uint32_t context = peer_context_make(peer, 1);

	module_post(peer, context, VGPU_ID(VGPU_KIND_MODULE, 1));
	assert_true(reply_comes(peer));
	assert_int_equal(peer_call(peer, VGPU_CALL_cuModuleGetFunction, context, &function, sizeof(function)),
			 CUDA_SUCCESS);
	assert_int_equal(peer_call(peer, VGPU_CALL_cuMemAlloc_v2, context, &allocation, sizeof(allocation)),
			 CUDA_SUCCESS);
	memcpy(&sum, peer->reply, sizeof(sum));
	*ret_sum = sum.dptr;
	return context;
}

/* A context with FUNCTION and an event, and with kernels by which it will be known how long they are. */
static uint32_t long_kernels_begin(struct peer *peer, uint64_t *ret_sum)
{
	struct wire_cuEventCreate event = {.phEvent = VGPU_ID(VGPU_KIND_EVENT, 1)};
	uint32_t context;

	peer_open(peer);
	context = context_with_kernel(peer, ret_sum);
	assert_int_equal(peer_call(peer, VGPU_CALL_cuEventCreate, context, &event, sizeof(event)), CUDA_SUCCESS);
	permit_set(peer, 2, VGPU_PERMIT_SLICED, VGPU_TIME_NEVER);
	kernels_post(peer, context, 0, *ret_sum, 4, LONG_US);
	return context;
}

/* Records of events, which take no time, say nothing of how long the kernels around them are. */
static void test_bursts_of_long_kernels(void **state)
{
	struct wire_cuStreamSynchronize all = {0};
	struct wire_cuEventRecord record = {.hEvent = VGPU_ID(VGPU_KIND_EVENT, 1)};
	uint32_t context, most = 0;
	struct peer peer;
	uint64_t sum;

	(void)state;
	context = long_kernels_begin(&peer, &sum);
	/* None of them passes then: they are counted like kernels. */
	__atomic_store_n(&peer.permit->burst_count, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 14; i++)
		assert_true(peer_post(&peer, VGPU_CALL_cuEventRecord, 0, context, &record, sizeof(record)));
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamSynchronize, context, &all, sizeof(all)), CUDA_SUCCESS);
	assert_true(value_becomes(&peer.claims->in_flight, 0));
	__atomic_store_n(&peer.permit->burst_count, 2, __ATOMIC_SEQ_CST);
	kernels_post(&peer, context, 0, sum, 20, LONG_US);
	assert_true(peer_post(&peer, VGPU_CALL_cuStreamSynchronize, VGPU_FLAG_REPLY, context, &all, sizeof(all)));
	while (__atomic_load_n(&peer.header->reply.tail, __ATOMIC_ACQUIRE) == peer.replies.own) {
		uint32_t in_flight = __atomic_load_n(&peer.claims->in_flight, __ATOMIC_ACQUIRE);

		most = in_flight > most ? in_flight : most;
		usleep(500);
	}
	assert_true(reply_comes(&peer));
	assert_in_range(most, 1, 4);
	peer_close(&peer);
}

/*
 * Of so many tries: how often a program that has one kernel behind another learns of the first one's end while the
 * second one runs. That is too short for more to be issued because nothing gets on.
 */
static int waits_that_pass(struct peer *peer, uint32_t context, uint64_t sum, int tries, uint32_t second_us)
{
	struct wire_cuStreamSynchronize all = {0};
	struct wire_cuStreamQuery query = {0};
	struct wire_cuEventRecord record = {.hEvent = VGPU_ID(VGPU_KIND_EVENT, 1)};
	struct wire_cuEventSynchronize wait = {.hEvent = VGPU_ID(VGPU_KIND_EVENT, 1)};
	int passed = 0;

	for (int i = 0; i < tries; i++) {
		kernels_post(peer, context, 0, sum, 1, LONG_US);
		assert_true(peer_post(peer, VGPU_CALL_cuEventRecord, 0, context, &record, sizeof(record)));
		kernels_post(peer, context, 0, sum, 1, second_us);
		assert_int_equal(peer_call(peer, VGPU_CALL_cuEventSynchronize, context, &wait, sizeof(wait)),
				 CUDA_SUCCESS);
		passed += peer_call(peer, VGPU_CALL_cuStreamQuery, context, &query, sizeof(query)) ==
			  CUDA_ERROR_NOT_READY;
		assert_int_equal(peer_call(peer, VGPU_CALL_cuStreamSynchronize, context, &all, sizeof(all)),
				 CUDA_SUCCESS);
	}
	return passed;
}

/* It may have ended before we ask, on a busy machine, but not each time. Where less may be in flight nothing passes. */
static void test_wait_behind_long_kernel(void **state)
{
	struct wire_cuStreamSynchronize all = {0};
	struct peer peer;
	uint32_t context;
	uint64_t sum;

	(void)state;
	context = long_kernels_begin(&peer, &sum);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamSynchronize, context, &all, sizeof(all)), CUDA_SUCCESS);
	assert_in_range(waits_that_pass(&peer, context, sum, TRIES, BELOW_STALL_US), 1, TRIES);
	__atomic_store_n(&peer.permit->burst_count, 1, __ATOMIC_SEQ_CST);
	assert_in_range(waits_that_pass(&peer, context, sum, TRIES, LONG_US), 0, TRIES / 4);
	__atomic_store_n(&peer.permit->burst_count, 2, __ATOMIC_SEQ_CST);
	__atomic_store_n(&peer.permit->limits.queue_depth, 1, __ATOMIC_SEQ_CST);
	assert_in_range(waits_that_pass(&peer, context, sum, TRIES, LONG_US), 0, TRIES / 4);
	peer_close(&peer);
}

/* The most that was in flight of so many kernels. */
static uint32_t most_in_flight(struct peer *peer, uint32_t context, uint64_t sum, uint32_t bursts, uint32_t number)
{
	uint32_t most = 0;

	permit_set(peer, number, VGPU_PERMIT_SLICED, VGPU_TIME_NEVER);
	/* Several kernels, also where a kernel takes some times longer than here. */
	peer->permit->burst_ns = 100000000;
	__atomic_store_n(&peer->permit->burst_count, bursts, __ATOMIC_SEQ_CST);
	kernels_post(peer, context, 0, sum, 48, 30000);
	memory_info_post(peer, context);
	while (__atomic_load_n(&peer->header->reply.tail, __ATOMIC_ACQUIRE) == peer->replies.own) {
		uint32_t in_flight = __atomic_load_n(&peer->claims->in_flight, __ATOMIC_ACQUIRE);

		most = in_flight > most ? in_flight : most;
		usleep(500);
	}
	assert_true(reply_comes(peer));
	assert_true(value_becomes(&peer->claims->in_flight, 0));
	return most;
}

/* How many bursts are in flight is what the permit says, while it says so. */
static void test_number_of_bursts(void **state)
{
	struct wire_cuStreamSynchronize all = {0};
	uint32_t context, one, many;
	struct peer peer;
	uint64_t sum;

	(void)state;
	peer_open(&peer);
	context = context_with_kernel(&peer, &sum);
	/* How long a kernel takes is known then. */
	permit_set(&peer, 2, VGPU_PERMIT_SLICED, VGPU_TIME_NEVER);
	kernels_post(&peer, context, 0, sum, 4, 30000);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamSynchronize, context, &all, sizeof(all)), CUDA_SUCCESS);
	one = most_in_flight(&peer, context, sum, 1, 3);
	many = most_in_flight(&peer, context, sum, 8, 4);
	print_message("# in flight: %u and %u\n", one, many);
	assert_in_range(one, 1, many - 1);
	peer_close(&peer);
}

/* The record says that another context is current than the stream's. */
static void test_stream_of_another_context(void **state)
{
	struct wire_cuStreamCreate stream = {.phStream = VGPU_ID(VGPU_KIND_STREAM, 1), .Flags = 1};
	uint32_t context, other;
	struct peer peer;
	uint64_t sum;

	(void)state;
	peer_open(&peer);
	context = context_with_kernel(&peer, &sum);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamCreate, context, &stream, sizeof(stream)), CUDA_SUCCESS);
	other = peer_context_make(&peer, 2);
	permit_set(&peer, 2, VGPU_PERMIT_SLICED, VGPU_TIME_NEVER);
	kernels_post(&peer, other, stream.phStream, sum, 1, STRICT_KERNEL_US_MAX);
	assert_true(value_becomes(&peer.claims->in_flight, 1));
	usleep(QUIET_MS * 1000);
	assert_int_equal(peer.claims->in_flight, 1);
	peer_close(&peer);
}

/* More than one burst holds, with the kernel in the last one. */
static void test_many_streams_of_an_open_permit(void **state)
{
	uint32_t context, last = 0;
	struct peer peer;
	uint64_t sum;

	(void)state;
	peer_open(&peer);
	context = context_with_kernel(&peer, &sum);
	permit_set(&peer, 2, VGPU_PERMIT_OPEN, VGPU_TIME_NEVER);
	for (uint32_t i = 1; i <= 150; i++) {
		struct wire_cuStreamCreate stream = {.phStream = VGPU_ID(VGPU_KIND_STREAM, i), .Flags = 1};

		last = stream.phStream;
		assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamCreate, context, &stream, sizeof(stream)),
				 CUDA_SUCCESS);
	}
	kernels_post(&peer, context, last, sum, 1, STRICT_KERNEL_US_MAX);
	memory_info_post(&peer, context);
	assert_true(reply_comes(&peer));
	permit_set(&peer, 3, VGPU_PERMIT_SLICED, VGPU_TIME_NEVER);
	usleep(QUIET_MS * 1000);
	assert_int_not_equal(peer.claims->in_flight, 0);
	peer_close(&peer);
}

/* A stream that is captured takes no mark when others come: what was in it before is counted all the same. */
static void test_work_before_a_capture(void **state)
{
	struct wire_cuStreamCreate stream = {.phStream = VGPU_ID(VGPU_KIND_STREAM, 1), .Flags = 1};
	struct wire_cuStreamBeginCapture_v2 capture = {.hStream = VGPU_ID(VGPU_KIND_STREAM, 1)};
	struct wire_cuStreamCreate side = {.phStream = VGPU_ID(VGPU_KIND_STREAM, 2), .Flags = 1};
	struct wire_cuEventCreate event = {.phEvent = VGPU_ID(VGPU_KIND_EVENT, 1)};
	struct wire_cuEventRecord record = {.hEvent = VGPU_ID(VGPU_KIND_EVENT, 1),
					    .hStream = VGPU_ID(VGPU_KIND_STREAM, 1)};
	struct wire_cuStreamWaitEvent join = {.hStream = VGPU_ID(VGPU_KIND_STREAM, 2),
					      .hEvent = VGPU_ID(VGPU_KIND_EVENT, 1)};
	uint32_t context;
	struct peer peer;
	uint64_t sum;

	(void)state;
	for (int is_side = 0; is_side < 2; is_side++) {
		peer_open(&peer);
		context = context_with_kernel(&peer, &sum);
		permit_set(&peer, 2, VGPU_PERMIT_OPEN, VGPU_TIME_NEVER);
		assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamCreate, context, &stream, sizeof(stream)),
				 CUDA_SUCCESS);
		assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamCreate, context, &side, sizeof(side)),
				 CUDA_SUCCESS);
		assert_int_equal(peer_call(&peer, VGPU_CALL_cuEventCreate, context, &event, sizeof(event)),
				 CUDA_SUCCESS);
		kernels_post(&peer, context, is_side ? side.phStream : stream.phStream, sum, 1, STRICT_KERNEL_US_MAX);
		assert_int_equal(
			peer_call(&peer, VGPU_CALL_cuStreamBeginCapture_v2, context, &capture, sizeof(capture)),
			CUDA_SUCCESS);
		/* Another stream becomes a part of it. */
		if (is_side) {
			assert_int_equal(peer_call(&peer, VGPU_CALL_cuEventRecord, context, &record, sizeof(record)),
					 CUDA_SUCCESS);
			assert_int_equal(peer_call(&peer, VGPU_CALL_cuStreamWaitEvent, context, &join, sizeof(join)),
					 CUDA_SUCCESS);
		}
		permit_set(&peer, 3, VGPU_PERMIT_SLICED, VGPU_TIME_NEVER);
		usleep(QUIET_MS * 1000);
		assert_int_not_equal(peer.claims->in_flight, 0);
		peer_close(&peer);
	}
}

/* While it compiles nobody could see whether a kernel takes longer than it may. */
static void test_load_waits_for_limited_kernels(void **state)
{
	uint64_t began, sum;
	uint32_t context;
	struct peer peer;

	(void)state;
	peer_open(&peer);
	peer.permit->limits.kernel_ms = 60000;
	context = context_with_kernel(&peer, &sum);
	permit_set(&peer, 2, VGPU_PERMIT_SLICED, VGPU_TIME_NEVER);
	began = now_ns();
	kernels_post(&peer, context, 0, sum, 1, 300000);
	module_post(&peer, context, VGPU_ID(VGPU_KIND_MODULE, 2));
	assert_true(reply_comes(&peer));
	assert_true(now_ns() - began > 200000000);
	peer_close(&peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_idle_needs_no_answer),
		cmocka_unit_test(test_slice_ends),
		cmocka_unit_test(test_standby),
		cmocka_unit_test(test_memory_limit),
		cmocka_unit_test(test_bursts_of_long_kernels),
		cmocka_unit_test(test_wait_behind_long_kernel),
		cmocka_unit_test(test_number_of_bursts),
		cmocka_unit_test(test_stream_of_another_context),
		cmocka_unit_test(test_many_streams_of_an_open_permit),
		cmocka_unit_test(test_work_before_a_capture),
		cmocka_unit_test(test_load_waits_for_limited_kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
