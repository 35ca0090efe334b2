/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "image.h"

#define FILE_BYTES_MAXIMUM ((off_t)1 << 31)

/* A file has a length, so headers that claim more are refused here.  Wrappers hold addresses: never in a file. */
static bool image_whole(const unsigned char *data, size_t bytes)
{
	size_t claimed;

	if (bytes >= 4 && !memcmp(data, "\xb1\x43\x62\x46", 4))
		return false;
	if (bytes >= 4 && !memcmp(data, "\x50\xed\x55\xba", 4))
		return bytes >= 16 && fatbin_bytes(data, &claimed) && claimed <= bytes;
	return bytes;
}

CUresult file_read(const char *path, void **ret_data, size_t *ret_bytes)
{
	CUresult result = CUDA_ERROR_FILE_NOT_FOUND;
	unsigned char *data = NULL;
	struct stat status;
	FILE *file;

	if (!path)
		return CUDA_ERROR_INVALID_VALUE;
	file = fopen(path, "rbe");
	if (!file)
		return CUDA_ERROR_FILE_NOT_FOUND;
	if (fstat(fileno(file), &status) || !S_ISREG(status.st_mode))
		goto close;
	result = CUDA_ERROR_INVALID_IMAGE;
	if (status.st_size <= 0 || status.st_size > FILE_BYTES_MAXIMUM)
		goto close;
	data = malloc((size_t)status.st_size + 1);
	if (!data) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
		goto close;
	}
	if (fread(data, 1, (size_t)status.st_size, file) != (size_t)status.st_size)
		goto close;
	data[status.st_size] = 0;
	*ret_data = data;
	*ret_bytes = (size_t)status.st_size;
	data = NULL;
	result = CUDA_SUCCESS;
close:
	free(data);
	fclose(file);
	return result;
}

CUresult file_read_image(const char *path, void **ret_data)
{
	size_t bytes;
	void *data;
	CUresult result = file_read(path, &data, &bytes);

	if (result)
		return result;
	if (!image_whole(data, bytes)) {
		free(data);
		return CUDA_ERROR_INVALID_IMAGE;
	}
	*ret_data = data;
	return CUDA_SUCCESS;
}
