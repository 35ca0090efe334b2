/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that processes share, of a size that none of them can change: a page that is cut away ends who looks at it. */
#ifndef WORKER_MEMORY_FILE_H
#define WORKER_MEMORY_FILE_H

#include <stdint.h>

/* A zeroed memory file, close-on-exec, or -1 with errno. */
int memory_file_create(const char *name, uint64_t bytes);

#endif
