/* SPDX-License-Identifier: Apache-2.0 */
#include "debug.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void debug_note(const char *format, ...)
{
	char text[256];
	va_list arguments;

	if (!secure_getenv("VGPU_DEBUG"))
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "vgpu-cuda: %s\n", text);
}
