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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pool_of_a_later_executor_is_another_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
