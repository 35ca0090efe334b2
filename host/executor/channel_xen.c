/* SPDX-License-Identifier: Apache-2.0 */
#include "channel_xen.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u /* of frame numbers, on x86 */

/* Linux include/uapi/xen/privcmd.h, which is not installed in a form that compiles without Xen's own headers. */
struct privcmd_mmapbatch_v2 {
	unsigned int num;
	uint16_t dom;
	uint64_t addr;
	const uint64_t *arr;
	int *err;
};
#define IOCTL_PRIVCMD_MMAPBATCH_V2 _IOC(_IOC_NONE, 'P', 4, sizeof(struct privcmd_mmapbatch_v2))

/* The backend has said which grants they are; they are mapped now, all or none (Linux drivers/xen/gntdev.c). */
static int grants_map(const struct channel_memory *memory, uint8_t **ret_mapping)
{
	off_t offset = (off_t)memory->xen_frame * PAGE_BYTES;
	void *mapping = mmap(NULL, memory->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory->file, offset);

	if (mapping == MAP_FAILED)
		return -errno;
	*ret_mapping = mapping;
	return 0;
}

static int frames_map(const struct channel_memory *memory, uint8_t **ret_mapping)
{
	size_t count = memory->bytes / PAGE_BYTES;
	uint64_t *frames = calloc(count, sizeof(*frames));
	int *errors = calloc(count, sizeof(*errors));
	void *mapping = MAP_FAILED;
	struct privcmd_mmapbatch_v2 batch = {.num = (unsigned int)count, .arr = frames, .err = errors};
	int result = -ENOMEM;

	if (!frames || !errors)
		goto free_lists;
	result = -EINVAL;
	if (memory->xen_domain > UINT16_MAX)
		goto free_lists;
	batch.dom = (uint16_t)memory->xen_domain;
	for (size_t i = 0; i < count; i++)
		frames[i] = (uint64_t)memory->xen_frame + i;
	mapping = mmap(NULL, memory->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory->file, 0);
	if (mapping == MAP_FAILED) {
		result = -errno;
		goto free_lists;
	}
	batch.addr = (uintptr_t)mapping;
	result = 0;
	if (ioctl(memory->file, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch) < 0)
		result = -errno;
	/* A page that could not be mapped is told here alone, and touching it would be SIGBUS. */
	for (size_t i = 0; i < count && !result; i++)
		if (errors[i])
			result = -EFAULT;
	if (result)
		munmap(mapping, memory->bytes);
	else
		*ret_mapping = mapping;
free_lists:
	free(errors);
	free(frames);
	return result;
}

int channel_xen_map(const struct channel_memory *memory, uint8_t **ret_mapping)
{
	return memory->xen_grants ? grants_map(memory, ret_mapping) : frames_map(memory, ret_mapping);
}
