/* SPDX-License-Identifier: Apache-2.0 */
/* A channel to the fake executor, as the session's, and requests on it. */
#ifndef CHANNEL_CALLS_H
#define CHANNEL_CALLS_H

#include <stdlib.h>
#include <string.h>

#include "fake_executor.h"
#include "session.h"

static inline struct channel *channel_make(struct fake_executor *fake)
{
	struct channel *channel = aligned_alloc(64, (sizeof(*channel) + 63) & ~(size_t)63);

	assert_non_null(channel);
	assert_true(channel_attach(channel, fake_executor_transport(fake)));
	session.channel = channel;
	upload_window_prepare(&session.upload, channel);
	download_window_prepare(&session.download, channel);
	return channel;
}

static inline void end(struct fake_executor *fake, struct channel *channel)
{
	fake_executor_stop(fake);
	free(channel);
}

static inline CUresult post(struct channel *channel, uint16_t opcode, const void *data, size_t bytes,
			    struct channel_waiter *waiter)
{
	void *payload;
	CUresult result = channel_begin(channel, opcode, 0, bytes, waiter, &payload);

	if (result)
		return result;
	if (bytes)
		memcpy(payload, data, bytes);
	channel_commit(channel);
	return CUDA_SUCCESS;
}

#endif
