/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the compiled instruction sets this processor has. */
#include "exec.h"

extern const struct exec_table exec_table_baseline;

#if defined(__x86_64__) && defined(ENGINE_HAS_ISA_BUILDS)
extern const struct exec_table exec_table_v2, exec_table_v3, exec_table_v4;

const struct exec_table *exec_table_choose(void)
{
	__builtin_cpu_init();
	bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
	bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
		  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
	bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
		  __builtin_cpu_supports("avx512vl");

	return v4 ? &exec_table_v4 : v3 ? &exec_table_v3 : v2 ? &exec_table_v2 : &exec_table_baseline;
}
#else
const struct exec_table *exec_table_choose(void)
{
	return &exec_table_baseline;
}
#endif
