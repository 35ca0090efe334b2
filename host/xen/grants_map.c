/* SPDX-License-Identifier: Apache-2.0 */
#include "grants_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/gntdev.h>

#include "vgpu_xen_grants.h"

#define NOTIFY_CLEAR_BYTE 0x1 /* UNMAP_NOTIFY_*, of <xen/gntalloc.h> */
#define NOTIFY_SEND_EVENT 0x2

int grants_map_open(void)
{
	int file = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC);

	return file < 0 ? -errno : file;
}

int grants_map_add(int file, unsigned domain, const uint32_t *references, uint32_t count, uint64_t *ret_offset)
{
	struct ioctl_gntdev_map_grant_ref *map = calloc(1, sizeof(*map) + count * sizeof(map->refs[0]));
	struct ioctl_gntdev_grant_ref *grants;
	int result = 0;

	if (!map)
		return -ENOMEM;
	map->count = count;
	grants = map->refs;
	for (uint32_t i = 0; i < count; i++)
		grants[i] = (struct ioctl_gntdev_grant_ref){.domid = domain, .ref = references[i]};
	if (ioctl(file, IOCTL_GNTDEV_MAP_GRANT_REF, map) < 0)
		result = -errno;
	else
		*ret_offset = map->index;
	free(map);
	return result;
}

void grants_map_remove(int file, uint64_t offset, uint32_t count)
{
	struct ioctl_gntdev_unmap_grant_ref unmap = {.index = offset, .count = count};

	/* It fails only for an entry that is not there. */
	ioctl(file, IOCTL_GNTDEV_UNMAP_GRANT_REF, &unmap);
}

int grants_map_notify(int file, uint64_t offset, uint32_t port)
{
	struct ioctl_gntdev_unmap_notify notify = {
		.index = offset,
		.action = NOTIFY_CLEAR_BYTE | NOTIFY_SEND_EVENT,
		.event_channel_port = port,
	};

	return ioctl(file, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &notify) < 0 ? -errno : 0;
}

int grants_map_table_read(int file, unsigned domain, const uint32_t *table, const struct vgpu_grants_request *request,
			  uint32_t *ret_references)
{
	uint32_t table_pages = grants_table_pages(request->pages);
	size_t bytes = (size_t)table_pages * VGPU_GRANTS_PAGE_BYTES;
	uint64_t offset = 0;
	void *mapping;
	int error = grants_map_add(file, domain, table, table_pages, &offset);

	if (error)
		return error;
	mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)offset);
	if (mapping == MAP_FAILED) {
		error = -errno;
		goto remove;
	}
	memcpy(ret_references, mapping, request->pages * sizeof(*ret_references));
	ret_references[0] = request->reference;
	munmap(mapping, bytes);
remove:
	grants_map_remove(file, offset, table_pages);
	return error;
}
