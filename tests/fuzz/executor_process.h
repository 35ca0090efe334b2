/* SPDX-License-Identifier: Apache-2.0 */
/* peer_executor_start() of peer.h with the executor's code that is linked into a fuzzer. */
#ifndef TEST_FUZZ_EXECUTOR_PROCESS_H
#define TEST_FUZZ_EXECUTOR_PROCESS_H

/* After the executor of an input has ended: tells libFuzzer what its code has covered. */
void executor_process_covered(void);

#endif
