/* SPDX-License-Identifier: Apache-2.0 */
/* For test programs each of whose tests talks to one executor, with one context: cmocka's setup and teardown, and
 * calls. */
#ifndef TEST_ONE_PEER_H
#define TEST_ONE_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "peer.h"

static struct peer peer;
static uint32_t context;

static int peer_setup(void **state)
{
	(void)state;
	peer_open(&peer);
	context = peer_context_make(&peer, 1);
	return 0;
}

/* The executor has not died of what the test did. */
static int peer_teardown(void **state)
{
	(void)state;
	if (peer.process)
		assert_false(peer_close(&peer).by_signal);
	return 0;
}

#define CALL(name, ...) \
	peer_call(&peer, VGPU_CALL_##name, context, &(struct wire_##name){__VA_ARGS__}, sizeof(struct wire_##name))
#define WORKS(...)   assert_int_equal(CALL(__VA_ARGS__), CUDA_SUCCESS)
#define INVALID(...) assert_int_equal(CALL(__VA_ARGS__), CUDA_ERROR_INVALID_VALUE)
#define NOTHING(...) assert_int_equal(CALL(__VA_ARGS__), CUDA_ERROR_INVALID_HANDLE)

#endif
