/* SPDX-License-Identifier: Apache-2.0 */
/* The end of an executor whose guest broke the protocol. After cmocka.h. */
#ifndef TEST_PEER_END_H
#define TEST_PEER_END_H

#include "peer.h"

/* It must have ended in order: told the mediator why, no signal. */
static inline void peer_end_check(struct peer *peer, const char *what)
{
	struct peer_end end = peer_wait(peer);

	if (end.by_signal || end.message != VGPU_CONTROL_EXECUTOR_FAULT)
		fail_msg("%s: the executor ended with %s %d, last message %u (%s)", what,
			 end.by_signal ? "signal" : "status", end.status, end.message, end.text);
	assert_int_equal(end.error, VGPU_ERROR_PROTOCOL);
	assert_true(end.text[0]);
}

#endif
