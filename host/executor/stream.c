/* SPDX-License-Identifier: Apache-2.0 */
/* The waiting calls on streams and events. */
#include "executor.h"
#include "executor_calls.h"

CUresult execute_cuStreamSynchronize(struct executor *executor, const struct request *request,
				     const struct wire_cuStreamSynchronize *arguments)
{
	return pending_add_stream(executor, request, arguments->hStream);
}

CUresult execute_cuEventSynchronize(struct executor *executor, const struct request *request,
				    const struct wire_cuEventSynchronize *arguments)
{
	return pending_add_event(executor, request, arguments->hEvent);
}
