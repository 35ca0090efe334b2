/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "executor.h"
#include "log.h"

void executor_fault(struct executor *executor, enum vgpu_channel_error error, const char *format, ...)
{
	va_list arguments;

	if (executor->fault)
		return;
	executor->fault = error;
	va_start(arguments, format);
	vsnprintf(executor->fault_text, sizeof(executor->fault_text), format, arguments);
	va_end(arguments);
	log_write("vm_id=%u channel=%u: %s", executor->vm_id, executor->channel_number, executor->fault_text);
}
