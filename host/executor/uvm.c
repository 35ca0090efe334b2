/* SPDX-License-Identifier: Apache-2.0 */
#include "uvm.h"

#include <stdarg.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int uvm_initialize(int (*call)(int file, unsigned long request, void *argument), int file,
		   struct uvm_initialize *argument)
{
	static const uint64_t added[] = {UVM_FLAG_DISABLE_HMM | UVM_FLAG_DISABLE_PAGEABLE_ACCESS, UVM_FLAG_DISABLE_HMM,
					 0};
	uint64_t flags = argument->flags;
	int result = 0;

	for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
		argument->flags = flags | added[i];
		argument->status = 0;
		result = call(file, UVM_INITIALIZE, argument);
		/* What is not about the flags is the same without them; a module that is busy is asked again by the
		 * caller. */
		if (result != 0 || argument->status == 0 || argument->status == UVM_STATUS_BUSY)
			break;
	}
	return result;
}

static int system_call(int file, unsigned long request, void *argument)
{
	return (int)syscall(SYS_ioctl, file, request, argument);
}

/* In the place of the C library's, for the libraries too. */
__attribute__((visibility("default"))) int ioctl(int file, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == UVM_INITIALIZE && argument)
		return uvm_initialize(system_call, file, argument);
	return system_call(file, request, argument);
}
