/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest has granted, through Linux's gntdev (drivers/xen/gntdev.c). A file of it has a list of entries; an
 * entry's grants are mapped when it is mapped, by whoever has the file, and unmapped in Xen when neither the list nor a
 * mapping has it any more. Errors are -errno.
 */
#ifndef XEN_GRANTS_MAP_H
#define XEN_GRANTS_MAP_H

#include <stdint.h>

struct vgpu_grants_request;

/* A file without entries, or -errno. */
int grants_map_open(void);

/* Adds an entry of 'count' grants of the domain; *ret_offset is its place in the file. */
int grants_map_add(int file, unsigned domain, const uint32_t *references, uint32_t count, uint64_t *ret_offset);
void grants_map_remove(int file, uint64_t offset, uint32_t count);

/* When the byte at 'offset' of the file is unmapped it is cleared, and the event channel's other end gets an event. */
int grants_map_notify(int file, uint64_t offset, uint32_t port);

/*
 * The references of all pages of a channel, from the table that the guest has made; 'table' are the references of
 * its pages, checked for their number only. The first one is the request's.
 */
int grants_map_table_read(int file, unsigned domain, const uint32_t *table, const struct vgpu_grants_request *request,
			  uint32_t *ret_references);

#endif
