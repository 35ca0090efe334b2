/* SPDX-License-Identifier: Apache-2.0 */
#include "segment.h"

#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#define SEGMENT_MAGIC 0x6370692d74666f73ull /* "soft-ipc" */

static bool attach(int id, void **place)
{
	void *attached = shmat(id, *place, *place ? SHM_REMAP : 0);

	if (attached == (void *)-1) /* NOLINT(performance-no-int-to-ptr): shmat's own way to fail */
		return false;
	*place = attached;
	return true;
}

bool segment_make(enum segment_kind kind, size_t bytes, void **place, struct segment *ret_segment)
{
	int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
	bool is_attached;

	if (id < 0)
		return false;
	is_attached = attach(id, place);
	(void)shmctl(id, IPC_RMID, NULL);
	*ret_segment = (struct segment){
		.magic = SEGMENT_MAGIC,
		.id = id,
		.process = (int32_t)getpid(),
		.bytes = bytes,
		.kind = kind,
	};
	return is_attached;
}

void segment_write(const struct segment *segment, char *handle)
{
	memset(handle, 0, CU_IPC_HANDLE_SIZE);
	memcpy(handle, segment, sizeof(*segment));
}

CUresult segment_read(const char *handle, enum segment_kind kind, struct segment *ret_segment)
{
	struct segment segment;
	struct shmid_ds status;

	memcpy(&segment, handle, sizeof(segment));
	if (segment.magic != SEGMENT_MAGIC || segment.kind != kind)
		return CUDA_ERROR_INVALID_VALUE;
	if (segment.process == getpid())
		return CUDA_ERROR_INVALID_CONTEXT;
	if (shmctl(segment.id, IPC_STAT, &status) || status.shm_segsz != segment.bytes ||
	    status.shm_cpid != segment.process)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_segment = segment;
	return CUDA_SUCCESS;
}

bool segment_attach(const struct segment *segment, void **place)
{
	return attach(segment->id, place);
}

bool segment_is_ours_alone(const struct segment *segment)
{
	struct shmid_ds status;

	return shmctl(segment->id, IPC_STAT, &status) || status.shm_nattch <= 1;
}
