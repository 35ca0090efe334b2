/* SPDX-License-Identifier: Apache-2.0 */
/* What is mapped in this process, as /proc/self/maps tells it (proc_pid_maps(5)). Any thread. */
#ifndef VGPU_MAPPINGS_H
#define VGPU_MAPPINGS_H

#include <stdbool.h>
#include <stdint.h>

struct mapping {
	uint64_t start;
	uint64_t end;
	uint64_t offset; /* in the file */
	uint64_t inode;	 /* 0: no file */
	unsigned int major;
	unsigned int minor;
	char permissions[5]; /* "rw-p" */
	char name[64];	     /* its beginning; "" where there is none */
};

/* Visits the mappings by ascending address until 'visit' says false. false: they cannot be read. */
bool mappings_each(bool (*visit)(const struct mapping *mapping, void *argument), void *argument);

#endif
