/* SPDX-License-Identifier: Apache-2.0 */
/* Text that must be rejected, with the error and the line that it names. */
#include "harness.h"
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER ".version 7.8\n.target sm_80\n.address_size 64\n"
#define KERNEL(body)                                                                                                \
	HEADER ".visible .entry k(.param .u64 out)\n{\n.reg .b32 %r<8>; .reg .b64 %rd<8>; .reg .pred %p<4>;\n" body \
	       "\nret;\n}\n"

static void expect(const char *text, enum engine_status expected, const char *in_log)
{
	struct harness *harness = harness_create(1);
	enum engine_status status;
	struct engine_module *module = harness_load(harness, text, &status);

	if (status != expected || (in_log && !strstr(harness->log, in_log)))
		fail_msg("status %d, expected %d; log '%s', expected '%s'", (int)status, (int)expected, harness->log,
			 in_log ? in_log : "");
	engine_module_unload(module);
	harness_destroy(harness);
}

static void test_syntax(void **state)
{
	(void)state;
	expect("", ENGINE_ERROR_INVALID_PTX, "line 1");
	expect("\n\n.version", ENGINE_ERROR_INVALID_PTX, "line 3");
	expect(HEADER ".visible .entry", ENGINE_ERROR_INVALID_PTX, "line 4");
	expect(HEADER "/* never closed", ENGINE_ERROR_INVALID_PTX, "line 4");
	expect(KERNEL("add.u32 %r1, %r2;"), ENGINE_ERROR_INVALID_PTX, "line 7");
	expect(KERNEL("add.u32 %r1, %r2, %r9;"), ENGINE_ERROR_INVALID_PTX, "%r9");
	expect(KERNEL("add.u32 %r1 %r2, %r3;"), ENGINE_ERROR_INVALID_PTX, "expected ','");
	expect(KERNEL("{ {"), ENGINE_ERROR_INVALID_PTX, NULL);
	expect(KERNEL("@%r1 bra x;"), ENGINE_ERROR_INVALID_PTX, "predicate");
	expect(KERNEL(".reg .b32 %r<4294967295>;"), ENGINE_ERROR_INVALID_PTX, NULL);
	expect(KERNEL(".reg .b32 %q<1048577>;"), ENGINE_ERROR_INVALID_PTX, "number of registers");
	expect(KERNEL(".local .b8 huge[99999999999999];"), ENGINE_ERROR_INVALID_PTX, "too large");
	expect(KERNEL(".local .b8 huge[1000000];"), ENGINE_ERROR_INVALID_PTX, "local memory");
	expect(HEADER ".global .u32 x = 99999999999999999999999;", ENGINE_ERROR_INVALID_PTX, NULL);
	expect(HEADER ".global .b8 x[2] = {1, 2, 3};", ENGINE_ERROR_INVALID_PTX, "too many");
	expect(HEADER ".global .align 3 .b8 x;", ENGINE_ERROR_INVALID_PTX, "alignment");
	expect(HEADER ".global .u32 x = 1 / 0;", ENGINE_ERROR_INVALID_PTX, "zero");
	expect(HEADER ".global .u32 x; .global .u32 x;", ENGINE_ERROR_INVALID_PTX, "twice");
}

static void test_types(void **state)
{
	(void)state;
	expect(KERNEL("add.u32 %r1, %rd2, %r3;"), ENGINE_ERROR_INVALID_PTX, "line 7");
	expect(KERNEL("add.u64 %rd1, %r2, %rd3;"), ENGINE_ERROR_INVALID_PTX, NULL);
	expect(KERNEL("add.u32 %p1, %r2, %r3;"), ENGINE_ERROR_INVALID_PTX, NULL);
	expect(KERNEL("setp.eq.u32 %r1, %r2, %r3;"), ENGINE_ERROR_INVALID_PTX, "predicate");
	expect(KERNEL("bra nowhere;"), ENGINE_ERROR_INVALID_PTX, "label");
	expect(KERNEL("ld.param.u64 %rd1, [out+8];"), ENGINE_ERROR_INVALID_PTX, "past the parameters");
	expect(KERNEL("ld.param.u64 %rd1, [out-8];"), ENGINE_ERROR_INVALID_PTX, "past the parameters");
	expect(KERNEL("st.param.u64 [out], %rd1;"), ENGINE_ERROR_INVALID_PTX, NULL);
	expect(KERNEL("ld.global.v2.u32 {%r1}, [%rd1];"), ENGINE_ERROR_INVALID_PTX, NULL);
	expect(KERNEL("ld.global.v3.u32 {%r1,%r2,%r3}, [%rd1];"), ENGINE_ERROR_INVALID_PTX, NULL);
	expect(KERNEL("call 5;"), ENGINE_ERROR_INVALID_PTX, NULL);
}

static void test_unsupported(void **state)
{
	(void)state;
	expect(KERNEL("frobnicate.u32 %r1, %r2;"), ENGINE_ERROR_UNSUPPORTED_PTX,
	       "line 7: unsupported instruction 'frobnicate.u32");
	/* A modifier that is not understood must not be ignored. */
	expect(KERNEL("add.strange.u32 %r1, %r2, %r3;"), ENGINE_ERROR_UNSUPPORTED_PTX, "add.strange.u32");
	expect(KERNEL("add.sat.u32 %r1, %r2, %r3;"), ENGINE_ERROR_UNSUPPORTED_PTX, "add.sat.u32");
	expect(KERNEL("wgmma.fence.sync.aligned;"), ENGINE_ERROR_UNSUPPORTED_PTX, "wgmma");
	expect(".version 7.8\n.target sm_80\n.address_size 32\n", ENGINE_ERROR_UNSUPPORTED_PTX, "address_size");
	expect(KERNEL("call unknown_function;"), ENGINE_ERROR_INVALID_PTX, NULL);
	expect(HEADER ".extern .func f();\n.visible .entry k() { call f; }", ENGINE_ERROR_UNRESOLVED, "'f'");
}

/* Every prefix of a valid text is a text as well: none may crash. */
static void test_prefixes(void **state)
{
	static const char text[] =
		KERNEL("ld.param.u64 %rd1, [out]; mov.b64 {%r1, %r2}, %rd1; @!%p1 add.u32 %r1, %r2, 0x10;\n"
		       "x: { .reg .f32 f; mov.f32 f, 0f3F800000; } atom.global.add.u32 %r1, [%rd1+4], 1; bra.uni x;");
	struct harness *harness = harness_create(1);

	(void)state;
	for (size_t bytes = 0; bytes < sizeof(text); bytes++) {
		struct engine_ptx ptx = {.text = text, .bytes = bytes};
		struct engine_module *module = NULL;
		char log[32];
		enum engine_status status = engine_module_load(harness->engine, &ptx, 1, log, sizeof(log), &module);

		assert_true((status == ENGINE_OK) == (module != NULL));
		assert_true(status == ENGINE_OK || log[0]);
		engine_module_unload(module);
	}
	harness_destroy(harness);
}

static void test_info(void **state)
{
	struct harness *harness = harness_create(1);
	enum engine_status status;
	struct engine_module *module =
		harness_load(harness,
			     HEADER ".visible .entry first(.param .u8 a, .param .align 16 .b8 b[20], .param .u64 c)\n"
				    ".maxntid 128, 2, 1\n.minnctapersm 2\n{ .shared .align 4 .b8 s[100]; .local .align "
				    "8 .b8 l[24]; ret; }\n"
				    ".visible .entry second() .reqntid 64 { ret; }\n",
			     &status);
	struct engine_function_info info;

	(void)state;
	assert_int_equal(status, ENGINE_OK);
	engine_function_get_info(engine_module_function_at(module, 0), &info);
	assert_string_equal(info.name, "first");
	assert_int_equal(info.parameter_count, 3);
	assert_int_equal(info.parameter_bytes, 48);
	assert_int_equal(info.parameters[1].offset, 16);
	assert_int_equal(info.parameters[1].bytes, 20);
	assert_int_equal(info.parameters[2].offset, 40);
	assert_int_equal(info.static_shared_bytes, 100);
	assert_true(info.local_bytes >= 24);
	assert_int_equal(info.max_threads_per_block, 256);
	assert_int_equal(info.ptx_version, 78);
	assert_int_equal(info.target_sm, 80);
	engine_function_get_info(engine_module_find_function(module, "second"), &info);
	assert_int_equal(info.required_threads[0], 64);
	assert_null(engine_module_function_at(module, 2));
	engine_module_unload(module);
	harness_destroy(harness);
}

/* A jump back from each block to the one before: what lives at the first reaches one more block in each pass. */
static void test_jumps_back(void **state)
{
	enum { BLOCKS = 50000, BLOCK_BYTES = 32 };
	char *text = malloc(1024 + BLOCKS * BLOCK_BYTES);
	char *at = text;

	(void)state;
	assert_non_null(text);
	at += sprintf(at, HEADER ".visible .entry k()\n{\n.reg .b32 %%r<4>;\nmov.u32 %%r1, 1;\nbra L%d;\n", BLOCKS - 1);
	at += sprintf(at, "L0: add.u32 %%r2, %%r1, 1;\nret;\n");
	for (int i = 1; i < BLOCKS; i++)
		at += sprintf(at, "L%d: bra L%d;\n", i, i - 1);
	sprintf(at, "}\n");
	alarm(40);
	expect(text, ENGINE_OK, NULL);
	alarm(0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),	 cmocka_unit_test(test_types), cmocka_unit_test(test_unsupported),
		cmocka_unit_test(test_prefixes), cmocka_unit_test(test_info),  cmocka_unit_test(test_jumps_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
