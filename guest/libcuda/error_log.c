/* SPDX-License-Identifier: Apache-2.0 */
/* The log of the host's driver. */
#include <stdio.h>
#include <string.h>

#include "host_calls.h"

/* Documented for cuLogsDumpToMemory. */
#define LOG_BYTES_MAX 25600

/* '*ret_bytes' of text come; the iterator may be NULL. */
static CUresult log_fetch(CUlogIterator *iterator, char *text, uint32_t size, unsigned int flags, uint32_t *ret_bytes)
{
	uint32_t context, advanced = 0;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (!result)
		result = host_cuLogsDumpToMemory(context, iterator != NULL, iterator ? *iterator : 0, size, flags,
						 &advanced, text, size, ret_bytes);
	if (!result && iterator)
		*iterator = advanced;
	return result;
}

API(cuLogsDumpToMemory, CUlogIterator *iterator, char *buffer, size_t *size, unsigned int flags)
{
	uint32_t wanted, bytes = 0;
	CUresult result;

	if (!buffer || !size || !*size)
		return CUDA_ERROR_INVALID_VALUE;
	wanted = *size < LOG_BYTES_MAX ? (uint32_t)*size : LOG_BYTES_MAX;
	result = log_fetch(iterator, buffer, wanted, flags, &bytes);
	if (bytes >= wanted)
		bytes = wanted - 1;
	if (result)
		bytes = 0;
	buffer[bytes] = '\0';
	*size = bytes;
	return result;
}

API(cuLogsDumpToFile, CUlogIterator *iterator, const char *path, unsigned int flags)
{
	char text[LOG_BYTES_MAX];
	uint32_t bytes = 0;
	FILE *file;
	CUresult result;

	if (!path)
		return CUDA_ERROR_INVALID_VALUE;
	result = log_fetch(iterator, text, sizeof(text), flags, &bytes);
	if (result)
		return result;
	file = fopen(path, "a");
	if (!file)
		return CUDA_ERROR_INVALID_VALUE;
	if (fwrite(text, 1, bytes, file) != bytes)
		result = CUDA_ERROR_OPERATING_SYSTEM;
	if (fclose(file) != 0)
		result = CUDA_ERROR_OPERATING_SYSTEM;
	return result;
}
