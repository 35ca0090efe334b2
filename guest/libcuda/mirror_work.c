/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror_work.h"

#include <stddef.h>

#include "call.h"
#include "mirror_streams.h"
#include "vgpu_api_wire.h"

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

bool mirror_work_is_done(const struct mirror_work *work, uint32_t context, uint32_t stream, bool is_context)
{
	if (!work->is_pending)
		return true;
	if (work->is_foreign || work->context != context)
		return false;
	return is_context || (!work->is_mixed && work->stream == stream);
}

void mirror_work_await(struct mirror_work *work)
{
	if (!work->is_pending)
		return;
	if (work->is_mixed)
		(void)call_wait_own(VGPU_CALL_cuCtxSynchronize, work->context, NULL, 0);
	else
		(void)mirror_stream_await(work->context, work->stream);
	work->is_pending = false;
}
