/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that greet the executor otherwise than they should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "call_list.h"
#include "peer_end.h"

static struct peer peer;

static void no_hello(void **state)
{
	struct vgpu_snapshot_request question = {0};

	(void)state;
	assert_true(peer_start(&peer, getenv("VGPU_TEST_DRIVER"), PEER_CHANNEL_BYTES));
	assert_true(peer_post(&peer, VGPU_OPCODE_SNAPSHOT, VGPU_FLAG_REPLY, 0, &question, sizeof(question)));
	peer_end_check(&peer, "no HELLO");
}

static void two_hellos(void **state)
{
	struct vgpu_hello hello = {.version = VGPU_PROTOCOL_VERSION, .api_checksum = VGPU_API_CHECKSUM};

	(void)state;
	assert_true(peer_start(&peer, getenv("VGPU_TEST_DRIVER"), PEER_CHANNEL_BYTES));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HELLO, 0, &hello, sizeof(hello)), CUDA_SUCCESS);
	assert_true(peer_post(&peer, VGPU_OPCODE_HELLO, VGPU_FLAG_REPLY, 0, &hello, sizeof(hello)));
	peer_end_check(&peer, "two HELLOs");
}

static void another_version(void **state)
{
	struct vgpu_hello hello = {.version = VGPU_PROTOCOL_VERSION, .api_checksum = VGPU_API_CHECKSUM + 1};
	struct vgpu_hello_reply reply;
	struct vgpu_snapshot_request question = {0};

	(void)state;
	assert_true(peer_start(&peer, getenv("VGPU_TEST_DRIVER"), PEER_CHANNEL_BYTES));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HELLO, 0, &hello, sizeof(hello)), CUDA_SUCCESS);
	memcpy(&reply, peer.reply, sizeof(reply));
	assert_int_equal(reply.api_checksum, VGPU_API_CHECKSUM);
	assert_true(peer_post(&peer, VGPU_OPCODE_SNAPSHOT, VGPU_FLAG_REPLY, 0, &question, sizeof(question)));
	peer_end_check(&peer, "another version");
	/* Nor does a second HELLO help; each would be a line of the log. */
	assert_true(peer_start(&peer, getenv("VGPU_TEST_DRIVER"), PEER_CHANNEL_BYTES));
	assert_int_equal(peer_call(&peer, VGPU_OPCODE_HELLO, 0, &hello, sizeof(hello)), CUDA_SUCCESS);
	assert_true(peer_post(&peer, VGPU_OPCODE_HELLO, VGPU_FLAG_REPLY, 0, &hello, sizeof(hello)));
	peer_end_check(&peer, "another version twice");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_hello),
		cmocka_unit_test(two_hellos),
		cmocka_unit_test(another_version),
	};

	return cmocka_run_group_tests_name("greetings", tests, NULL, NULL);
}
