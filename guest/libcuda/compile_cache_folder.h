/* SPDX-License-Identifier: Apache-2.0 */
/* Where the files of the compile cache are, and how much they may be together. */
#ifndef VGPU_COMPILE_CACHE_FOLDER_H
#define VGPU_COMPILE_CACHE_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#define COMPILE_CACHE_NAME_BYTES 33	/* of a file: two hashes */
#define COMPILE_CACHE_MADE	 "new." /* with this begins one that is not whole yet */

/* By malloc(); NULL: the environment wants none, or says no place. */
char *compile_cache_folder(void);

/* Of all files together. */
uint64_t compile_cache_bytes_max(void);

/* Makes it, and those that it is in, for the user alone. False: it is not there. */
bool compile_cache_folder_make(const char *folder);

/* Removes those that were not used for longest, until the rest is no more than allowed. */
void compile_cache_trim(const char *folder);

#endif
