/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"
#include "testing.h"

#include <stdio.h>
#include <string.h>

static const char text_format[] = ".version 7.8\n.target sm_80\n.address_size 64\n%s\n"
				  ".visible .entry k(.param .u64 out, .param .u64 in, .param .u32 n)\n{\n"
				  ".reg .b64 %%rd<32>;\n.reg .b32 %%r<64>;\n.reg .f32 %%f<16>;\n.reg .b16 %%h<8>;\n"
				  ".reg .pred %%p<16>;\n.reg .b64 %%out, %%in, %%at;\n.reg .b32 %%n, %%me, %%i;\n"
				  "ld.param.u64 %%out, [out]; ld.param.u64 %%in, [in]; ld.param.u32 %%n, [n];\n"
				  "mov.u32 %%me, %%tid.x; mov.u32 %%r0, %%ctaid.x; mov.u32 %%r1, %%ntid.x;\n"
				  "mad.lo.u32 %%i, %%r0, %%r1, %%me; mad.wide.u32 %%at, %%i, 4, %%out;\n"
				  "mad.wide.u32 %%in, %%i, 4, %%in;\n%s\nret;\n}\n";

void program_load(struct program *program, const char *outside, const char *body, unsigned workers)
{
	static char text[16384];
	enum engine_status status;
	int length = snprintf(text, sizeof(text), text_format, outside, body);

	assert_true(length > 0 && (size_t)length < sizeof(text));
	memset(program, 0, sizeof(*program));
	program->harness = harness_create(workers);
	program->out = (uint32_t *)(uintptr_t)harness_allocate(program->harness, PROGRAM_WORDS * 4);
	program->in = (uint32_t *)(uintptr_t)harness_allocate(program->harness, PROGRAM_WORDS * 4);
	for (uint32_t i = 0; i < PROGRAM_WORDS; i++)
		program->in[i] = i * 2654435761u;
	program->module = harness_load(program->harness, text, &status);
	if (!program->module)
		fail_msg("%s", program->harness->log);
}

void program_run(struct program *program, uint32_t blocks, uint32_t threads, uint32_t shared, uint32_t n)
{
	struct {
		uint64_t out, in;
		uint32_t n;
	} parameters = {(uint64_t)(uintptr_t)program->out, (uint64_t)(uintptr_t)program->in, n};

	program->result =
		harness_launch(program->harness, program->module, "k", blocks, threads, shared, &parameters, 20);
}

void program_end(struct program *program)
{
	engine_module_unload(program->module);
	harness_destroy(program->harness);
}
