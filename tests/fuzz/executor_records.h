/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fuzz_executor reads its input: records, one after the other, each a struct record_head and its payload. Words
 * that begin with RECORD_ADDRESS are addresses in the victim's device memory.
 */
#ifndef TEST_FUZZ_EXECUTOR_RECORDS_H
#define TEST_FUZZ_EXECUTOR_RECORDS_H

#include <stdint.h>

#define RECORD_ADDRESS_MASK 0xffffffff00000000ull
#define RECORD_ADDRESS	    0xfade000000000000ull

#define RECORD_FLAG_POSTED  1u /* no reply is asked for */
#define RECORD_CONTEXT_MASK 6u /* 0: the victim's, else one of these numbers */

struct record_head {
	uint16_t shape; /* of the victim's, but for HELLO, modulo how many there are */
	uint8_t words;	/* of 8 bytes, of the payload */
	uint8_t flags;	/* RECORD_FLAG_* */
};

#endif
