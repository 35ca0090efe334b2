/* SPDX-License-Identifier: Apache-2.0 */
/* What registered_stack.c does on each kind of stack. After cmocka.h. */
#ifndef TEST_REGISTERED_STACK_H
#define TEST_REGISTERED_STACK_H

#include <stdbool.h>

#include "registered_calls.h"

#define MOVES 40

/* Uses so much of the stack below; how much of it does not hold what was written there. */
uint32_t depths_use(uint32_t bytes);

void words_fill(volatile uint32_t *words, uint32_t count, uint32_t value);
void words_look(const volatile uint32_t *words, uint32_t count, uint32_t value);

/* A variable, and several pages, which device and program write in turn. */
void variable_use(void);
void array_use(void);

/* Registers memory of its own frame, and returns; where that was. */
void *left_behind(void);
void later_frames_use(void);

/* Parent and child have a stack each: while memory in their frames is registered, and in any case. */
void forks_use(void);
void depths_fork(void);

/* A handler for children, of before the library's; and a debugger that is there during forks_use()'s forks only. */
void child_uses_stack(void);
extern bool is_traced_at_forks;

#endif
