/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror_work.h"

#include <stddef.h>

#include "call.h"
#include "channel.h"
#include "host_function.h"
#include "session.h"
#include "vgpu_api_wire.h"

/* How soon a wait notices that there is a function, of which nobody tells it. */
#define FUNCTION_LOOK_MS 10

uint64_t mirror_works_noted;

void mirror_work_note(struct mirror_work *work, uint32_t context, uint32_t stream)
{
	work->is_foreign = work->is_pending && (work->is_foreign || work->context != context);
	work->is_mixed = work->is_pending && (work->is_mixed || work->context != context || work->stream != stream);
	mirror_works_noted++;
	work->is_pending = true;
	work->context = context;
	work->stream = stream;
}

void mirror_work_spread(struct mirror_work *work)
{
	work->is_mixed = true;
	work->is_foreign = true;
}

bool mirror_work_is_done(const struct mirror_work *work, uint32_t context, uint32_t stream, bool is_context)
{
	if (!work->is_pending)
		return true;
	if (work->is_foreign || work->context != context)
		return false;
	return is_context || (!work->is_mixed && work->stream == stream);
}

/* What was asked last: its reply may yet be to come when the wait has been given up. */
static struct channel_waiter asked;
static bool is_asked;

static bool asked_await(void)
{
	if (is_asked)
		is_asked = !channel_await_unless(session.channel, &asked, host_functions_expected, FUNCTION_LOOK_MS);
	return !is_asked;
}

bool mirror_work_await(const struct mirror_work *work)
{
	const struct wire_cuStreamSynchronize request = {.hStream = work->stream};
	const struct call_piece pieces[] = {{&request, sizeof(request)}};
	CUresult result;

	if (!asked_await())
		return false;
	result = work->is_mixed ? call_send_own(VGPU_CALL_cuCtxSynchronize, work->context, NULL, 0, &asked)
				: call_send_own(VGPU_CALL_cuStreamSynchronize, work->context, pieces, 1, &asked);
	is_asked = !result;
	return asked_await();
}
