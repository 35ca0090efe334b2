/* SPDX-License-Identifier: Apache-2.0 */
/* How long calls take, as the executor counts it for the mediator, and its log of slow ones. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "peer.h"

enum {
	LONG_BUCKET = 8, /* its lower end is KERNEL_US / 2 */
	KERNEL_US = 200000,
	SLOW_BYTES = 4097, /* strict_driver.c: takes 100 ms */
	SLOW_MS = 80,
	FIRST = 64, /* host/executor/latency.h */
	EACH = 61,
};

static struct peer peer;
static uint32_t context;
static int log_file; /* what the executor writes */

static int setup(void **state)
{
	int error = dup(STDERR_FILENO);

	(void)state;
	log_file = memfd_create("log", MFD_CLOEXEC);
	assert_true(log_file >= 0 && error >= 0 && dup2(log_file, STDERR_FILENO) >= 0);
	peer_open(&peer);
	assert_true(dup2(error, STDERR_FILENO) >= 0);
	close(error);
	context = peer_context_make(&peer, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	peer_close(&peer);
	close(log_file);
	return 0;
}

static uint64_t count_from(enum vgpu_call_class class, int first)
{
	uint64_t count = 0;

	for (int i = first; i < VGPU_LATENCY_BUCKETS; i++)
		count += peer.counters->latencies[class].buckets[i];
	return count;
}

static uint64_t count_of(enum vgpu_call_class class)
{
	return count_from(class, 0);
}

static uint32_t allocate(uint64_t bytes)
{
	struct wire_cuMemAlloc_v2 request = {.bytesize = bytes};

	return peer_call(&peer, VGPU_CALL_cuMemAlloc_v2, context, &request, sizeof(request));
}

static uint64_t memory_make(void)
{
	uint64_t address;

	assert_int_equal(allocate(4096), CUDA_SUCCESS);
	memcpy(&address, peer.reply, sizeof(address));
	return address;
}

/* A call is counted after its answer was sent, so before the next one is taken. */
static void settle(void)
{
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemGetInfo_v2, context, NULL, 0), CUDA_SUCCESS);
}

static uint32_t function_make(void)
{
	static const char ptx[] = ".version 8.0\n.target sm_90\n.address_size 64\n";
	struct {
		struct vgpu_stage stage;
		uint64_t piece_bytes;
		char bytes[(sizeof(ptx) + 7) & ~(size_t)7];
	} image = {.stage.total_bytes = 8 + sizeof(image.bytes),
		   .stage.bytes = 8 + sizeof(image.bytes),
		   .piece_bytes = sizeof(ptx) - 1};
	struct wire_cuModuleLoadDataEx load = {.module = VGPU_ID(VGPU_KIND_MODULE, 0), .image_kind = 1};
	struct {
		struct wire_cuModuleGetFunction request;
		char name[8];
	} get = {.request = {.hfunc = VGPU_ID(VGPU_KIND_FUNCTION, 0), .hmod = load.module, .name_bytes = 4},
		 .name = "add"};

	memcpy(image.bytes, ptx, sizeof(ptx));
	assert_true(peer_post(&peer, VGPU_OPCODE_STAGE, 0, 0, &image, sizeof(image)));
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuModuleLoadDataEx, context, &load, sizeof(load)), CUDA_SUCCESS);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuModuleGetFunction, context, &get, sizeof(get.request) + 4),
			 CUDA_SUCCESS);
	return get.request.hfunc;
}

static void launch(uint32_t function, uint64_t target, uint32_t blocks)
{
	struct {
		struct vgpu_launch launch;
		uint64_t parameters[3];
	} record = {
		.launch = {.function = function, .grid = {blocks, 1, 1}, .block = {32, 1, 1}, .parameter_bytes = 24},
		.parameters = {target},
	};

	assert_true(peer_post(&peer, VGPU_OPCODE_LAUNCH, 0, context, &record, sizeof(record)));
}

static void test_classes(void **state)
{
	(void)state;
	settle();
	/* HELLO and the context. */
	assert_int_equal(count_of(VGPU_CLASS_OTHER), 2);
	assert_int_equal(count_of(VGPU_CLASS_MODULE), 0);
	function_make();
	settle();
	assert_int_equal(count_of(VGPU_CLASS_MODULE), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(allocate(4096), CUDA_SUCCESS);
	/* One that fails has taken its time as well. */
	assert_int_not_equal(allocate(0), CUDA_SUCCESS);
	settle();
	assert_in_range(count_of(VGPU_CLASS_MEMORY), 6, 7);
	assert_true(peer.counters->latencies[VGPU_CLASS_MEMORY].sum_ns > 0);
	assert_int_equal(count_of(VGPU_CLASS_OTHER), 2);
}

static void test_launches_are_sampled(void **state)
{
	uint32_t function = function_make();
	uint64_t target = memory_make();

	(void)state;
	for (int i = 0; i < 10; i++)
		launch(function, target, 1);
	settle();
	assert_int_equal(count_of(VGPU_CLASS_LAUNCH), 10);
	for (int i = 10; i < FIRST + 3 * EACH; i++)
		launch(function, target, 1);
	settle();
	assert_int_equal(count_of(VGPU_CLASS_LAUNCH), FIRST + 3 * EACH);
	assert_int_equal(peer.counters->launches, FIRST + 3 * EACH);
	/* These stand for nothing until one of them is looked at. */
	for (int i = 0; i < 2 * EACH + 1; i++)
		launch(function, target, 1);
	settle();
	assert_int_equal(count_of(VGPU_CLASS_LAUNCH), FIRST + 6 * EACH);
}

static void slow_calls_log(uint64_t slow_ms)
{
	__atomic_store_n(&peer.permit->slow_call_ms, slow_ms, __ATOMIC_RELAXED);
}

/* Free the text. */
static char *log_read(void)
{
	off_t bytes = lseek(log_file, 0, SEEK_END);
	char *text = calloc(1, (size_t)bytes + 1);

	assert_non_null(text);
	assert_int_equal(pread(log_file, text, (size_t)bytes, 0), bytes);
	return text;
}

static unsigned log_count(const char *what)
{
	char *text = log_read();
	unsigned count = 0;

	for (const char *at = text; (at = strstr(at, what)); at++)
		count++;
	free(text);
	return count;
}

/* Calls that the log says were left out of it. */
static unsigned left_out(void)
{
	char *text = log_read();
	unsigned sum = 0;
	unsigned others;

	for (const char *at = text; (at = strchr(at, ';')); at++)
		sum += sscanf(at, "; %u others are not logged", &others) == 1 ? others : 0;
	free(text);
	return sum;
}

/* A wait counts as what the guest waits for, and not as slow. */
static void test_waits(void **state)
{
	uint32_t function = function_make();
	uint64_t target = memory_make();

	(void)state;
	slow_calls_log(SLOW_MS);
	launch(function, target, KERNEL_US);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuCtxSynchronize, context, NULL, 0), CUDA_SUCCESS);
	settle();
	assert_int_equal(count_of(VGPU_CLASS_SYNCHRONIZE), 1);
	assert_int_equal(count_from(VGPU_CLASS_SYNCHRONIZE, LONG_BUCKET), 1);
	assert_true(peer.counters->latencies[VGPU_CLASS_SYNCHRONIZE].sum_ns > KERNEL_US / 2 * 1000ull);
	assert_int_equal(count_from(VGPU_CLASS_LAUNCH, LONG_BUCKET), 0);
	assert_int_equal(log_count("slow call: cuCtxSynchronize"), 0);
}

static void test_slow_calls(void **state)
{
	unsigned logged;

	(void)state;
	allocate(SLOW_BYTES);
	settle();
	assert_int_equal(log_count("slow call"), 0);
	slow_calls_log(SLOW_MS);
	for (unsigned i = 0; i < 20; i++)
		allocate(SLOW_BYTES);
	settle();
	logged = log_count("slow call: cuMemAlloc_v2 took ");
	assert_in_range(logged, 5, 19);
	usleep(1100000);
	allocate(SLOW_BYTES);
	settle();
	assert_int_equal(log_count("vm_id=7 channel=0: slow call: cuMemAlloc_v2"), logged + 1);
	/* Another call may have been slow too, where the machine is busy. */
	assert_in_range(log_count("slow call: ") + left_out(), 21, 25);
	/* Off again, at once. */
	slow_calls_log(0);
	usleep(1100000);
	allocate(SLOW_BYTES);
	settle();
	assert_int_equal(log_count("slow call: cuMemAlloc_v2"), logged + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_classes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_launches_are_sampled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_calls, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
