/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_STRICT_MISUSE_H
#define TEST_STRICT_MISUSE_H

/* Says what was wrong, and ends the process by abort(). */
_Noreturn void strict_misuse(const char *what);

#endif
