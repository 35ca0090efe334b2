/* SPDX-License-Identifier: Apache-2.0 */
/* What an executor publishes of what its guest process shares, with the software GPU. This test is the mediator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "peer.h"

#define POOL  VGPU_ID(VGPU_KIND_MEMORY_POOL, 1)
#define TRIES 50

/* The next process gets this id, if no other process comes in between and we may say so. */
static bool process_id_choose(pid_t process)
{
	FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "we");
	bool is_chosen = file && fprintf(file, "%d", (int)process - 1) > 0;

	if (file && fclose(file) != 0)
		is_chosen = false;
	return is_chosen;
}

/* A new executor makes a pool: by which number others know it. Its process id. */
static pid_t pool_publish(uint64_t *ret_number)
{
	const struct wire_cuMemPoolCreateShared made = {.pool = POOL,
							.handle_types = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR};
	const struct wire_cuMemPoolExportToShareableHandle told = {.pool = POOL};
	struct control_message message;
	struct vgpu_share_pool name;
	struct peer peer;
	uint32_t context;
	pid_t process;

	peer_open_sharing(&peer);
	process = peer.process;
	context = peer_context_make(&peer, 1);
	assert_int_equal(peer_call(&peer, VGPU_CALL_cuMemPoolCreateShared, context, &made, sizeof(made)), CUDA_SUCCESS);
	assert_true(peer_post(&peer, VGPU_CALL_cuMemPoolExportToShareableHandle, VGPU_FLAG_REPLY, context, &told,
			      sizeof(told)));
	peer_told(&peer, &message);
	assert_int_equal(message.header.type, VGPU_CONTROL_SHARE_PUBLISH);
	assert_int_equal(message.share.kind, VGPU_SHARE_POOL);
	memcpy(&name, message.share.handle, sizeof(name));
	control_message_release(&message);
	*ret_number = name.number;
	assert_false(peer_close(&peer).by_signal);
	return process;
}

/* Who has imported a pool knows it by its number after its executor's end, when another one may have its process id. */
static void test_a_pool_of_a_later_executor_is_another_one(void **state)
{
	uint64_t number, other = 0;
	pid_t process = pool_publish(&number), again = 0;

	(void)state;
	for (int i = 0; i < TRIES && again != process; i++) {
		if (!process_id_choose(process))
			skip();
		again = pool_publish(&other);
	}
	if (again != process)
		skip();
	assert_true(number != other);
}

static struct peer giver, taker;
static uint32_t giver_context, taker_context;
static struct wire_cuIpcOpenMemHandle_v2 opening;
static struct control_message published;

static int sharing_setup(void **state)
{
	(void)state;
	peer_open_sharing(&giver);
	peer_open_sharing(&taker);
	giver_context = peer_context_make(&giver, 1);
	taker_context = peer_context_make(&taker, 1);
	return 0;
}

static int sharing_teardown(void **state)
{
	(void)state;
	assert_false(peer_close(&giver).by_signal);
	assert_false(peer_close(&taker).by_signal);
	return 0;
}

static uint64_t memory_publish(uint64_t bytes)
{
	const struct wire_cuMemAlloc_v2 made = {.bytesize = bytes};
	struct control_message answer;
	struct wire_cuIpcGetMemHandle given;
	struct vgpu_record header;

	assert_int_equal(peer_call(&giver, VGPU_CALL_cuMemAlloc_v2, giver_context, &made, sizeof(made)), CUDA_SUCCESS);
	memcpy(&given.dptr, giver.reply, sizeof(given.dptr));
	assert_true(
		peer_post(&giver, VGPU_CALL_cuIpcGetMemHandle, VGPU_FLAG_REPLY, giver_context, &given, sizeof(given)));
	peer_told(&giver, &published);
	assert_int_equal(published.share.kind, VGPU_SHARE_MEMORY);
	answer = published;
	answer.share.is_granted = 1;
	assert_int_equal(control_send(giver.control, VGPU_CONTROL_SHARE_REPLY, &answer), 0);
	assert_true(peer_take(&giver, &header));
	assert_int_equal(header.context_or_result, CUDA_SUCCESS);
	memcpy(opening.handle.reserved, giver.reply + sizeof(struct wire_cuIpcGetMemHandle_reply),
	       sizeof(opening.handle.reserved));
	opening.flags = CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS;
	return given.dptr;
}

static uint32_t memory_open(uint64_t *ret_address)
{
	struct control_message answer = published;
	struct control_message question;
	struct vgpu_record header;

	assert_true(peer_post(&taker, VGPU_CALL_cuIpcOpenMemHandle_v2, VGPU_FLAG_REPLY, taker_context, &opening,
			      sizeof(opening)));
	peer_told(&taker, &question);
	answer.share.serial = question.share.serial;
	answer.share.is_granted = 1;
	assert_int_equal(control_send(taker.control, VGPU_CONTROL_SHARE_REPLY, &answer), 0);
	assert_true(peer_take(&taker, &header));
	if (!header.context_or_result)
		memcpy(ret_address, taker.reply, sizeof(*ret_address));
	return header.context_or_result;
}

static uint32_t memory_close(uint64_t address)
{
	const struct wire_cuIpcCloseMemHandle closed = {.dptr = address};

	return peer_call(&taker, VGPU_CALL_cuIpcCloseMemHandle, taker_context, &closed, sizeof(closed));
}

/* It is there for as long as anybody has it, so it counts for everybody who has it. */
static void test_memory_counts_for_who_opens_it(void **state)
{
	const uint64_t bytes = 8 << 20;
	const uint64_t before = taker.tenant->memory_bytes;
	uint64_t given = memory_publish(bytes);
	struct wire_cuMemFree_v2 freed = {.dptr = given};
	uint64_t address = 0, again = 0;

	(void)state;
	taker.permit->limits.memory_bytes = before + bytes - 1;
	assert_int_equal(memory_open(&address), CUDA_ERROR_OUT_OF_MEMORY);
	assert_int_equal(taker.tenant->memory_bytes, before);
	taker.permit->limits.memory_bytes = before + bytes;
	assert_int_equal(memory_open(&address), CUDA_SUCCESS);
	assert_int_equal(taker.tenant->memory_bytes, before + bytes);
	/* Another time it is the same memory. */
	assert_int_equal(memory_open(&again), CUDA_SUCCESS);
	assert_int_equal(again, address);
	assert_int_equal(taker.tenant->memory_bytes, before + bytes);
	assert_int_equal(peer_call(&giver, VGPU_CALL_cuMemFree_v2, giver_context, &freed, sizeof(freed)), CUDA_SUCCESS);
	assert_int_equal(memory_close(address), CUDA_SUCCESS);
	assert_int_equal(taker.tenant->memory_bytes, before + bytes);
	assert_int_equal(memory_close(address), CUDA_SUCCESS);
	assert_int_equal(taker.tenant->memory_bytes, before);
	assert_int_not_equal(memory_close(address), CUDA_SUCCESS);
	assert_int_equal(taker.tenant->memory_bytes, before);
}

/* What is open ends with its context. */
static void test_a_context_closes_what_it_has_open(void **state)
{
	const struct wire_cuCtxDestroy_v2 destroyed = {.ctx = taker_context};
	uint64_t address;

	(void)state;
	memory_publish(8 << 20);
	assert_int_equal(memory_open(&address), CUDA_SUCCESS);
	assert_int_equal(taker.counters->memory_bytes, 8 << 20);
	assert_int_equal(peer_call(&taker, VGPU_CALL_cuCtxDestroy_v2, 0, &destroyed, sizeof(destroyed)), CUDA_SUCCESS);
	assert_int_equal(taker.counters->memory_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pool_of_a_later_executor_is_another_one),
		cmocka_unit_test_setup_teardown(test_memory_counts_for_who_opens_it, sharing_setup, sharing_teardown),
		cmocka_unit_test_setup_teardown(test_a_context_closes_what_it_has_open, sharing_setup,
						sharing_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
