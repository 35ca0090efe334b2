/* SPDX-License-Identifier: Apache-2.0 */
#include "transport.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vgpu_control.h"

#define PCI_PATH "/dev/vgpu0"
#define XEN_PATH "/dev/xen/gntalloc"

void transport_failure_set(struct transport_failure *failure, enum vgpu_channel_error error, const char *format, ...)
{
	va_list arguments;

	failure->error = error;
	va_start(arguments, format);
	vsnprintf(failure->text, sizeof(failure->text), format, arguments);
	va_end(arguments);
}

/* The way of a process that was told none. Dom0 has Xen's devices too, but a mediator of its own. */
static const char *way_find(void)
{
	if (access(PCI_PATH, F_OK) == 0)
		return "pci";
	if (access(XEN_PATH, F_OK) == 0 && !secure_getenv("VGPU_SOCKET") && access(VGPU_SOCKET_PATH, F_OK) != 0 &&
	    access(VGPU_SOCKET_PATH_FALLBACK, F_OK) != 0)
		return "xen";
	return "local";
}

struct transport *transport_open(struct transport_failure *ret_failure)
{
	/* A set-user-id program does not let its caller choose whom it talks to. */
	const char *name = secure_getenv("VGPU_TRANSPORT");

	if (!name)
		name = way_find();
	if (strcmp(name, "pci") == 0)
		return transport_open_pci(PCI_PATH, ret_failure);
	if (strcmp(name, "xen") == 0)
		return transport_open_xen(ret_failure);
	if (strcmp(name, "local") == 0)
		return transport_open_local(secure_getenv("VGPU_SOCKET"), ret_failure);
	transport_failure_set(ret_failure, VGPU_ERROR_NO_MEDIATOR,
			      "VGPU_TRANSPORT is '%.32s'; it must be pci, xen or local", name);
	return NULL;
}
