/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A system call that touches neither errno nor anything else of the thread, nor its stack: for who works on the memory
 * where these lie, or shares them with another. The result, or -errno.
 */
#ifndef VGPU_SYSTEM_CALL_H
#define VGPU_SYSTEM_CALL_H

static inline __attribute__((always_inline)) long system_call_of_six(long number, long first, long second, long third,
								     long fourth, long fifth, long sixth)
{
	register long fourth_register __asm__("r10") = fourth;
	register long fifth_register __asm__("r8") = fifth;
	register long sixth_register __asm__("r9") = sixth;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(first), "S"(second), "d"(third), "r"(fourth_register), "r"(fifth_register),
			   "r"(sixth_register)
			 : "rcx", "r11", "memory");
	return result;
}

static inline __attribute__((always_inline)) long system_call(long number, long first, long second, long third,
							      long fourth)
{
	return system_call_of_six(number, first, second, third, fourth, 0, 0);
}

#endif
