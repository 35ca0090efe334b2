/* SPDX-License-Identifier: Apache-2.0 */
#include "image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (2ll << 30)

/* Read, not mapped: a file that shrinks meanwhile must not kill the program. */
static size_t file_read(int fd, uint8_t *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = read(fd, bytes + done, size - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	return done;
}

CUresult image_file_read(const char *path, void **ret_bytes, size_t *ret_count)
{
	struct stat status;
	void *bytes;
	CUresult result = CUDA_ERROR_FILE_NOT_FOUND;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return CUDA_ERROR_FILE_NOT_FOUND;
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		goto done;
	result = CUDA_ERROR_INVALID_IMAGE;
	if (status.st_size <= 0 || status.st_size > FILE_BYTES_MAX)
		goto done;
	result = CUDA_ERROR_OUT_OF_MEMORY;
	bytes = malloc((size_t)status.st_size);
	if (!bytes)
		goto done;
	*ret_count = file_read(fd, bytes, (size_t)status.st_size);
	*ret_bytes = bytes;
	result = CUDA_SUCCESS;
done:
	close(fd);
	return result;
}

CUresult image_file_open(const char *path, struct image_file *ret_file)
{
	struct image_file file = {0};
	size_t count;
	CUresult result = image_file_read(path, &file.bytes, &count);

	if (result)
		return result;
	result = image_examine_sized(file.bytes, count, &file.image);
	if (result)
		free(file.bytes);
	else
		*ret_file = file;
	return result;
}

void image_file_close(struct image_file *file)
{
	image_release(&file->image);
	free(file->bytes);
	file->bytes = NULL;
}
