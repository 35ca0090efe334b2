/* SPDX-License-Identifier: Apache-2.0 */
#include "transport.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PCI_PATH "/dev/vgpu0"

void transport_failure_set(struct transport_failure *failure, enum vgpu_channel_error error, const char *format, ...)
{
	va_list arguments;

	failure->error = error;
	va_start(arguments, format);
	vsnprintf(failure->text, sizeof(failure->text), format, arguments);
	va_end(arguments);
}

struct transport *transport_open(struct transport_failure *ret_failure)
{
	/* A set-user-id program does not let its caller choose whom it talks to. */
	const char *name = secure_getenv("VGPU_TRANSPORT");

	if (name && strcmp(name, "pci") != 0 && strcmp(name, "local") != 0) {
		transport_failure_set(ret_failure, VGPU_ERROR_NO_MEDIATOR,
				      "VGPU_TRANSPORT is '%.32s'; it must be pci or local", name);
		return NULL;
	}
	if (name ? strcmp(name, "pci") == 0 : access(PCI_PATH, F_OK) == 0)
		return transport_open_pci(PCI_PATH, ret_failure);
	return transport_open_local(secure_getenv("VGPU_SOCKET"), ret_failure);
}
