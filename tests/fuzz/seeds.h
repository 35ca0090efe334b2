/* SPDX-License-Identifier: Apache-2.0 */
/* What fuzz_seeds is made of. */
#ifndef TEST_FUZZ_SEEDS_H
#define TEST_FUZZ_SEEDS_H

#include <stdio.h>

/* A file of that name for a target; close it by seed_close(). What fails ends the program. */
FILE *seed_open(const char *kind, const char *name);
void seed_close(FILE *file, const char *name);
_Noreturn void seed_fail(const char *what);

void seeds_mediator_write(void);

#endif
