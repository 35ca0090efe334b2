/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An executor that serves telemetry, against honest and hostile guests: it answers from the fake library of
 * tests/nvml, or ends with a fault that it has told the mediator; it never dies by a signal. The peer is its
 * mediator, too: a thread answers what it asks of the tenant.
 *
 * VGPU_TEST_SEED repeats a run; the seed is printed.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "nvml_functions.h"
#include "nvml_call.h"
#include "peer.h"
#include "vgpu_nvml.h"

#define DEVICES		 3 /* of the fake library */
#define RANDOM_REQUESTS	 6000
#define TENANT_PROCESSES 100
#define PROCESS_BYTES	 (1ull << 20)
#define QUOTA_BYTES	 (10ull << 30)

static struct peer peer;
static uint64_t random_state;
static pthread_t mediator;
static bool mediator_runs;
static uint64_t quota_bytes;

static uint64_t random_next(void)
{
	/* xorshift64* */
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

/* Greets as a process that wants telemetry; how many devices there are. */
static uint32_t telemetry_greet(void)
{
	struct vgpu_hello hello = {
		.version = VGPU_PROTOCOL_VERSION,
		.api_checksum = NVML_API_CHECKSUM,
		.features = VGPU_FEATURE_TELEMETRY | VGPU_FEATURE_HOST_MAP,
		.process_id = 4711,
		.process_name = "test",
	};
	struct vgpu_hello_reply reply;

	assert_true(peer_start(&peer, getenv("VGPU_TEST_DRIVER"), VGPU_CHANNEL_BYTES_MIN));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HELLO, 0, &hello, sizeof(hello)), CUDA_SUCCESS);
	memcpy(&reply, peer.reply, sizeof(reply));
	assert_int_equal(reply.init_result, NVML_SUCCESS);
	assert_int_equal(reply.features, VGPU_FEATURE_TELEMETRY);
	assert_int_equal(peer.counters->process_id, 4711);
	assert_int_equal(peer.counters->devices[0].contexts, 0);
	return reply.device_count;
}

static void telemetry_open(void)
{
	assert_int_equal(telemetry_greet(), DEVICES);
}

/* NVML's result, or -1: the executor has ended. */
static int32_t request_send(uint16_t opcode, const void *payload, size_t bytes)
{
	struct vgpu_nvml_reply reply;
	uint32_t result = peer_call(&peer, opcode, 0, payload, bytes);

	if (result == UINT32_MAX)
		return -1;
	assert_int_equal(result, CUDA_SUCCESS);
	memcpy(&reply, peer.reply, sizeof(reply));
	return reply.result;
}

static int32_t call_send(const struct nvml_call *call)
{
	return request_send(VGPU_OPCODE_NVML_CALL, call->words, call->count * sizeof(call->words[0]));
}

static void expect_fault(void)
{
	struct peer_end end = peer_wait(&peer);

	assert_false(end.by_signal);
	assert_int_equal(end.message, VGPU_CONTROL_EXECUTOR_FAULT);
	assert_int_equal(end.error, VGPU_ERROR_PROTOCOL);
}

static void honest_calls_are_answered(void **state)
{
	(void)state;
	telemetry_open();
	for (size_t i = 0; i < nvml_function_count; i++) {
		int32_t expected = nvml_functions[i].is_local_only ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
		struct nvml_call call;

		nvml_call_make(&call, &nvml_functions[i]);
		/* The peer starts executors as those of a VM. */
		assert_int_equal(call_send(&call), expected);
	}
	assert_false(peer_close(&peer).by_signal);
}

static void other_modes_are_refused(void **state)
{
	const struct vgpu_snapshot_request snapshot = {0};
	struct nvml_call call;

	(void)state;
	telemetry_open();
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_SNAPSHOT, 0, &snapshot, sizeof(snapshot)), UINT32_MAX);
	expect_fault();
	telemetry_open();
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuCtxSynchronize, 0, NULL, 0), UINT32_MAX);
	expect_fault();
	peer_open(&peer);
	nvml_call_make(&call, &nvml_functions[0]);
	assert_int_equal(call_send(&call), -1);
	expect_fault();
}

/* The test driver shows one device, which lies on the bus where one of the fake library's does. */
static void devices_are_those_of_cuda(void **state)
{
	(void)state;
	setenv("CUDA_VISIBLE_DEVICES", "0", 1);
	assert_int_equal(telemetry_greet(), 1);
	unsetenv("CUDA_VISIBLE_DEVICES");
	assert_false(peer_close(&peer).by_signal);
}

static void devices_are_checked(void **state)
{
	const uint64_t wrong[] = {DEVICES, 64, 1ull << 32, UINT64_MAX};
	struct nvml_call call;

	(void)state;
	telemetry_open();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const struct vgpu_nvml_device_request request = {.device = (uint32_t)(wrong[i] | DEVICES)};

		nvml_call_make(&call, nvml_function_find(NVML_FUNCTION_nvmlDeviceGetName));
		call.words[1] = wrong[i];
		assert_int_equal(call_send(&call), NVML_ERROR_INVALID_ARGUMENT);
		assert_int_equal(request_send(VGPU_OPCODE_NVML_MEMORY, &request, sizeof(request)),
				 NVML_ERROR_INVALID_ARGUMENT);
		assert_int_equal(request_send(VGPU_OPCODE_NVML_PROCESSES, &request, sizeof(request)),
				 NVML_ERROR_INVALID_ARGUMENT);
		assert_int_equal(request_send(VGPU_OPCODE_NVML_UTILIZATION, &request, sizeof(request)),
				 NVML_ERROR_INVALID_ARGUMENT);
	}
	assert_false(peer_close(&peer).by_signal);
}

static void wrong_lengths_are_faults(void **state)
{
	const uint16_t opcodes[] = {VGPU_OPCODE_NVML_CALL, VGPU_OPCODE_NVML_MEMORY, VGPU_OPCODE_NVML_PROCESSES,
				    VGPU_OPCODE_NVML_UTILIZATION};
	struct nvml_call call;

	(void)state;
	for (size_t i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
		telemetry_open();
		assert_int_equal(request_send(opcodes[i], "short", 0), -1);
		expect_fault();
	}
	for (size_t i = 0; i < nvml_function_count; i++) {
		nvml_call_make(&call, &nvml_functions[i]);
		if (i % 2)
			nvml_call_word_add(&call, 0);
		else
			call.count = random_next() % call.count;
		telemetry_open();
		assert_int_equal(call_send(&call), -1);
		expect_fault();
	}
}

/* Of each function the first word that says how many or how long. */
static size_t length_word_find(const struct nvml_function *function)
{
	size_t word = 1;

	for (unsigned i = 0; i < function->parameter_count; i++) {
		switch (function->parameters[i].role) {
		case NVML_ROLE_SIZE:
		case NVML_ROLE_COUNT:
		case NVML_ROLE_VERSIONED:
			return word;
		case NVML_ROLE_DEVICE:
		case NVML_ROLE_IN:
			word++;
			break;
		default:
			break;
		}
	}
	return 0;
}

static void hostile_lengths_are_faults(void **state)
{
	const uint64_t lengths[] = {UINT64_MAX, 1ull << 32, 0x7fffffff, 65536, 0x0100ffff};
	unsigned checked = 0;
	struct nvml_call call;

	(void)state;
	for (size_t i = 0; i < nvml_function_count; i++) {
		size_t word = length_word_find(&nvml_functions[i]);

		if (!word)
			continue;
		nvml_call_make(&call, &nvml_functions[i]);
		call.words[word] = lengths[checked++ % (sizeof(lengths) / sizeof(lengths[0]))];
		telemetry_open();
		assert_int_equal(call_send(&call), -1);
		expect_fault();
	}
	assert_true(checked > 20);
}

static void random_requests_do_no_harm(void **state)
{
	static const uint64_t values[] = {0, 1, 8, 0xff, 0xffff, 0x7fffffff, 0xffffffff, UINT64_MAX};
	unsigned answered = 0;
	struct nvml_call call;

	(void)state;
	telemetry_open();
	for (unsigned i = 0; i < RANDOM_REQUESTS; i++) {
		nvml_call_make(&call, &nvml_functions[random_next() % nvml_function_count]);
		call.words[random_next() % call.count] ^= random_next() % 2
								  ? values[random_next() % 8] << 32
								  : values[random_next() % 8] >> (random_next() % 64);
		if (call_send(&call) == -1) {
			struct peer_end end = peer_wait(&peer);

			assert_false(end.by_signal);
			telemetry_open();
		} else {
			answered++;
		}
	}
	assert_true(answered > RANDOM_REQUESTS / 10);
	assert_false(peer_close(&peer).by_signal);
}

static void query_answer(const struct vgpu_control_tenant_query *query)
{
	struct control_message answer = {0};
	struct vgpu_control_tenant_reply *reply = &answer.tenant_reply;

	reply->quota_bytes = quota_bytes;
	reply->total = TENANT_PROCESSES;
	reply->first = query->first;
	while (reply->first + reply->count < TENANT_PROCESSES && reply->count < VGPU_CONTROL_TENANT_PROCESSES_MAX) {
		reply->processes[reply->count] = (struct vgpu_control_tenant_process){
			.executor_process = 1, /* not in the fake library's list */
			.process_id = 1000 + query->first + reply->count,
			.memory_bytes = PROCESS_BYTES,
		};
		reply->count++;
	}
	assert_int_equal(control_send(peer.control, VGPU_CONTROL_TENANT_REPLY, &answer), 0);
}

static void *mediator_run(void *argument)
{
	(void)argument;
	while (__atomic_load_n(&mediator_runs, __ATOMIC_ACQUIRE)) {
		struct pollfd wait = {.fd = peer.control, .events = POLLIN};
		struct control_message message;

		if (poll(&wait, 1, 20) > 0 && control_receive(peer.control, &message) == 1 &&
		    message.header.type == VGPU_CONTROL_TENANT_QUERY)
			query_answer(&message.tenant_query);
	}
	return NULL;
}

static void mediator_start(uint64_t quota)
{
	quota_bytes = quota;
	mediator_runs = true;
	assert_int_equal(pthread_create(&mediator, NULL, mediator_run, NULL), 0);
}

static void mediator_stop(void)
{
	__atomic_store_n(&mediator_runs, false, __ATOMIC_RELEASE);
	pthread_join(mediator, NULL);
}

static struct vgpu_nvml_memory_reply memory_ask(void)
{
	const struct vgpu_nvml_device_request request = {0};
	struct vgpu_nvml_memory_reply memory;

	assert_int_equal(request_send(VGPU_OPCODE_NVML_MEMORY, &request, sizeof(request)), NVML_SUCCESS);
	memcpy(&memory, peer.reply, sizeof(memory));
	return memory;
}

static void the_tenants_part_is_shown(void **state)
{
	const struct vgpu_nvml_device_request request = {0};
	struct vgpu_nvml_processes_reply list;
	struct vgpu_nvml_memory_reply memory;
	struct vgpu_nvml_process process;

	(void)state;
	telemetry_open();
	mediator_start(0);
	assert_int_equal(request_send(VGPU_OPCODE_NVML_PROCESSES, &request, sizeof(request)), NVML_SUCCESS);
	memcpy(&list, peer.reply, sizeof(list));
	assert_int_equal(list.count, TENANT_PROCESSES);
	for (unsigned i = 0; i < TENANT_PROCESSES; i++) {
		memcpy(&process, peer.reply + sizeof(list) + i * sizeof(process), sizeof(process));
		assert_int_equal(process.process_id, 1000 + i);
		assert_int_equal(process.used_bytes, PROCESS_BYTES);
	}
	/* The fake library's device has 80 GiB, of which 40 are free. */
	memory = memory_ask();
	assert_int_equal(memory.total_bytes, 80ull << 30);
	assert_int_equal(memory.used_bytes, TENANT_PROCESSES * PROCESS_BYTES);
	assert_int_equal(memory.free_bytes, 40ull << 30);
	mediator_stop();
	mediator_start(QUOTA_BYTES);
	memory = memory_ask();
	assert_int_equal(memory.total_bytes, QUOTA_BYTES);
	assert_int_equal(memory.free_bytes, QUOTA_BYTES - TENANT_PROCESSES * PROCESS_BYTES);
	mediator_stop();
	assert_false(peer_close(&peer).by_signal);
}

static void a_silent_mediator_is_no_hang(void **state)
{
	const struct vgpu_nvml_device_request request = {0};

	(void)state;
	telemetry_open();
	assert_int_equal(request_send(VGPU_OPCODE_NVML_MEMORY, &request, sizeof(request)), NVML_ERROR_TIMEOUT);
	assert_false(peer_close(&peer).by_signal);
}

#define PART	   8u /* of a processor, for a tenant */
#define BURST_NS   (500000000ull * PART)
#define REQUEST_NS 40000u /* at least */
#define CALLS	   200u

static uint64_t schedule_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t processor_ns(pid_t process)
{
	struct timespec used;
	clockid_t clock;

	assert_int_equal(clock_getcpuclockid(process, &clock), 0);
	assert_int_equal(clock_gettime(clock, &used), 0);
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static void requests_are_paid_for_in_time_of_the_host(void **state)
{
	struct nvml_call call;
	uint64_t began, paid, used;

	(void)state;
	telemetry_open();
	nvml_call_make(&call, nvml_function_find(NVML_FUNCTION_nvmlDeviceGetName));
	began = schedule_now();
	for (unsigned i = 0; i < CALLS; i++)
		assert_true(call_send(&call) >= 0);
	paid = __atomic_load_n(&peer.tenant->telemetry_free_ns, __ATOMIC_ACQUIRE);
	assert_true(paid >= began + (uint64_t)CALLS * REQUEST_NS * PART);
	/* Another process of the tenant has used up what it may. */
	began = schedule_now();
	used = processor_ns(peer.process);
	__atomic_store_n(&peer.tenant->telemetry_free_ns, began + BURST_NS + 1000000000u, __ATOMIC_RELEASE);
	assert_true(call_send(&call) >= 0);
	assert_true(schedule_now() - began >= 1000000000u);
	/* Who waits does not keep a processor busy. */
	assert_true(processor_ns(peer.process) - used < 500000000u);
	assert_int_equal(peer.claims->delays, 1);
	assert_false(peer_close(&peer).by_signal);
}

static void requests_are_commands(void **state)
{
	struct nvml_call call;
	uint64_t began;

	(void)state;
	telemetry_open();
	nvml_call_make(&call, nvml_function_find(NVML_FUNCTION_nvmlDeviceGetName));
	peer.permit->limits.commands_per_second = 20;
	began = schedule_now();
	for (unsigned i = 0; i < 20; i++)
		assert_true(call_send(&call) >= 0);
	/* But for those of 100 ms, which may come at once, and the last one. */
	assert_true(schedule_now() - began >= 800000000u);
	assert_false(peer_close(&peer).by_signal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(honest_calls_are_answered),
		cmocka_unit_test(other_modes_are_refused),
		cmocka_unit_test(devices_are_those_of_cuda),
		cmocka_unit_test(devices_are_checked),
		cmocka_unit_test(wrong_lengths_are_faults),
		cmocka_unit_test(hostile_lengths_are_faults),
		cmocka_unit_test(random_requests_do_no_harm),
		cmocka_unit_test(the_tenants_part_is_shown),
		cmocka_unit_test(a_silent_mediator_is_no_hang),
		cmocka_unit_test(requests_are_paid_for_in_time_of_the_host),
		cmocka_unit_test(requests_are_commands),
	};
	const char *seed = getenv("VGPU_TEST_SEED");

	random_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
	random_state |= 1;
	printf("# VGPU_TEST_SEED=%llu\n", (unsigned long long)random_state);
	return cmocka_run_group_tests_name("executor telemetry", tests, NULL, NULL);
}
