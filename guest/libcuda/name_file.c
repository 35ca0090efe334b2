/* SPDX-License-Identifier: Apache-2.0 */
#include "name_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

CUresult name_file_make(const CUipcMemHandle *name, uint32_t bytes, int *ret_file)
{
	int file;

	if (bytes != sizeof(*name))
		return CUDA_ERROR_UNKNOWN;
	file = memfd_create("cuda-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (file < 0)
		return CUDA_ERROR_OPERATING_SYSTEM;
	if (write(file, name, sizeof(*name)) != (ssize_t)sizeof(*name) || fcntl(file, F_ADD_SEALS, SEALS)) {
		close(file);
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
	*ret_file = file;
	return CUDA_SUCCESS;
}

bool name_file_read(int file, CUipcMemHandle *ret_name)
{
	struct stat status;

	return fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == (off_t)sizeof(*ret_name) &&
	       pread(file, ret_name, sizeof(*ret_name), 0) == (ssize_t)sizeof(*ret_name);
}
