/* SPDX-License-Identifier: Apache-2.0 */
#include "snippet.h"
#include "harness.h"
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CASES_MAX = 4096,
	SENTINEL = 0x5a5a5a5a,
};

const uint64_t snippet_integers[] = {
	0,
	1,
	2,
	3,
	7,
	31,
	32,
	33,
	63,
	64,
	0x7f,
	0x80,
	0xff,
	0x7fff,
	0x8000,
	0xffff,
	0x10000,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	0xfffffffe,
	0x100000000,
	0x123456789abcdef0,
	0x7fffffffffffffff,
	0x8000000000000000,
	0xffffffffffffffff,
	0xffffffff80000000,
	0xdeadbeefcafebabe,
};
const size_t snippet_integer_count = sizeof(snippet_integers) / sizeof(*snippet_integers);

const uint64_t snippet_floats[] = {
	0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x3f000000, 0x40490fdb, 0xc0490fdb, 0x00000001, 0x80000001,
	0x007fffff, 0x00800000, 0x80800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x4b000000,
	0x4b800001, 0x4f000000, 0xcf000000, 0x5f000000, 0x33800000, 0x33800001, 0x3f7fffff, 0x3f800001, 0x3fc00000,
	0x40200000, 0xbfc00000, 0x42c80000, 0x477ff000, 0x477fefff, 0x38800000, 0x387fffff, 0x33000001,
};
const size_t snippet_float_count = sizeof(snippet_floats) / sizeof(*snippet_floats);

const uint64_t snippet_doubles[] = {
	0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x400921fb54442d18,
	0x0000000000000001, 0x0010000000000000, 0x7fefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000,
	0x7ff8000000000000, 0x4330000000000001, 0x43e0000000000000, 0xc3e0000000000000, 0x43f0000000000000,
	0x3ff0000000000001, 0x3fefffffffffffff, 0x3fe0000000000000, 0x4004000000000000, 0x47efffffe0000000,
	0x47effffff0000000, 0x36a0000000000000, 0x3690000000000001, 0xc1e0000000200000, 0x41efffffffffffff,
};
const size_t snippet_double_count = sizeof(snippet_doubles) / sizeof(*snippet_doubles);

const uint64_t snippet_halves[] = {
	0x0000, 0x8000, 0x3c00, 0xbc00, 0x0001, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff,
	0x7c00, 0xfc00, 0x7e00, 0x3800, 0x3c01, 0x3bff, 0x4248, 0xc248, 0x6400, 0x1400,
};
const size_t snippet_half_count = sizeof(snippet_halves) / sizeof(*snippet_halves);

float snippet_float(uint64_t bits)
{
	uint32_t narrow = (uint32_t)bits;
	float value;

	memcpy(&value, &narrow, sizeof(value));
	return value;
}

uint64_t snippet_float_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

double snippet_double(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

uint64_t snippet_double_bits(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

int snippet_equal(uint64_t expected, uint64_t got)
{
	return expected == got;
}

int snippet_equal_f32(uint64_t expected, uint64_t got)
{
	return expected == got || (isnan(snippet_float(expected)) && isnan(snippet_float(got)));
}

int snippet_equal_f64(uint64_t expected, uint64_t got)
{
	return expected == got || (isnan(snippet_double(expected)) && isnan(snippet_double(got)));
}

int snippet_near_f32(uint64_t expected, uint64_t got)
{
	double x = (double)snippet_float(expected), y = (double)snippet_float(got);

	if (isnan(x) || isinf(x))
		return snippet_equal_f32(expected, got);
	return fabs(x - y) <= fabs(x) * 0x1p-21 || fabs(x - y) <= 0x1p-126;
}

static const char text_format[] =
	".version 7.8\n.target sm_80\n.address_size 64\n"
	".visible .entry k(.param .u64 in, .param .u64 out, .param .u32 count, .param .u32 lanes)\n{\n"
	".reg .b64 %%a, %%b, %%c, %%d, %%t, %%u, %%in, %%out, %%at;\n"
	".reg .b32 %%a32, %%b32, %%c32, %%d32, %%t32, %%u32, %%i, %%n, %%m, %%lane;\n"
	".reg .b16 %%a16, %%b16, %%c16, %%d16, %%t16, %%u16;\n"
	".reg .pred %%p, %%q, %%out_of_range, %%off;\n"
	"mov.u32 %%i, %%ctaid.x; mov.u32 %%n, %%ntid.x; mov.u32 %%m, %%tid.x; mad.lo.u32 %%i, %%i, %%n, %%m;\n"
	"ld.param.u32 %%n, [count]; setp.ge.u32 %%out_of_range, %%i, %%n;\n"
	"ld.param.u32 %%m, [lanes]; mov.u32 %%lane, %%laneid; shr.u32 %%m, %%m, %%lane; and.b32 %%m, %%m, 1;\n"
	"setp.eq.u32 %%off, %%m, 0;\n"
	"@%%out_of_range bra done;\n"
	"ld.param.u64 %%in, [in]; ld.param.u64 %%out, [out];\n"
	"mad.wide.u32 %%at, %%i, 24, %%in; ld.global.u64 %%a, [%%at]; ld.global.u64 %%b, [%%at+8];\n"
	"ld.global.u64 %%c, [%%at+16]; mad.wide.u32 %%at, %%i, 8, %%out;\n"
	"cvt.u32.u64 %%a32, %%a; cvt.u32.u64 %%b32, %%b; cvt.u32.u64 %%c32, %%c;\n"
	"cvt.u16.u64 %%a16, %%a; cvt.u16.u64 %%b16, %%b; cvt.u16.u64 %%c16, %%c;\n"
	"mov.u64 %%d, 0x5a5a5a5a; mov.u32 %%d32, 0x5a5a5a5a; mov.u16 %%d16, 0x5a5a;\n"
	"@%%off bra store;\n"
	"%s\n"
	"store:\n"
	"%s\n"
	"st.global.u64 [%%at], %%d;\n"
	"done:\n ret;\n}\n";

struct snippet_parameters {
	uint64_t in, out;
	uint32_t count, lanes;
};

static void run(struct harness *harness, const struct engine_module *module, const char *code, unsigned bits,
		const uint64_t *inputs, size_t cases, uint32_t lanes, snippet_reference reference, snippet_match match)
{
	uint64_t cut = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
	struct snippet_parameters parameters = {
		.in = harness_allocate(harness, cases * 24),
		.out = harness_allocate(harness, cases * 8),
		.count = (uint32_t)cases,
		.lanes = lanes,
	};

	memcpy((void *)(uintptr_t)parameters.in, inputs, cases * 24);
	struct engine_result result = harness_launch(harness, module, "k", (uint32_t)(cases + 63) / 64, 64, 0,
						     &parameters, sizeof(parameters));

	assert_int_equal(result.fault, ENGINE_FAULT_NONE);
	const uint64_t *got = (const uint64_t *)(uintptr_t)parameters.out;

	for (size_t i = 0; i < cases; i++) {
		const uint64_t *in = inputs + 3 * i;
		bool active = lanes >> (i % 32) & 1;
		uint64_t expected = (active ? reference(in[0], in[1], in[2]) : SENTINEL) & cut;

		if (active ? match(expected, got[i] & cut) : expected == (got[i] & cut))
			continue;
		fail_msg("%s: a=%llx b=%llx c=%llx: expected %llx, got %llx", code, (unsigned long long)in[0],
			 (unsigned long long)in[1], (unsigned long long)in[2], (unsigned long long)expected,
			 (unsigned long long)(got[i] & cut));
	}
}

void snippet_check(const char *code, unsigned bits, const uint64_t *values, size_t count, snippet_reference reference,
		   snippet_match match)
{
	static char text[8192];
	static uint64_t inputs[3 * CASES_MAX];
	const char *widen = bits == 64 ? "" : bits == 32 ? "cvt.u64.u32 %d, %d32;" : "cvt.u64.u16 %d, %d16;";
	struct harness *harness = harness_create(1);
	enum engine_status status;
	size_t cases = 0;

	for (size_t a = 0; a < count; a++) {
		for (size_t b = 0; b < count && cases < CASES_MAX; b++) {
			inputs[3 * cases] = values[a];
			inputs[3 * cases + 1] = values[b];
			inputs[3 * cases + 2] = values[(a * 7 + b * 3 + 1) % count];
			cases++;
		}
	}
	int length = snprintf(text, sizeof(text), text_format, code, widen);

	assert_true(length > 0 && (size_t)length < sizeof(text));
	struct engine_module *module = harness_load(harness, text, &status);

	if (!module)
		fail_msg("%s: %s", code, harness->log);
	run(harness, module, code, bits, inputs, cases, UINT32_MAX, reference, match);
	run(harness, module, code, bits, inputs, cases, 0x5a0ff1c3, reference, match);
	engine_module_unload(module);
	harness_destroy(harness);
}
