/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_STRICT_LIMITS_H
#define TEST_STRICT_LIMITS_H

/*
 * So many microseconds a kernel of the strict driver may take, one for each block; fewer than the numbers that hostile
 * requests have (test_hostile.c). One that takes them is there whenever a busy machine gets to look.
 */
#define STRICT_KERNEL_US_MAX 10000000

#endif
