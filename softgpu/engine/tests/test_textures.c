/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions on textures and surfaces where tests/kernels cannot go: handles
 * and coordinates that no honest kernel has, memory that is gone, instructions
 * that compilers do not make, and text that must not load.
 */
#include "program.h"
#include "testing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 8, HEIGHT = 4 };

#define HANDLE "ld.param.u64 %rd2, [in]; ld.global.u64 %rd1, [%rd2];\n"

static void image_make(struct program *program, struct engine_image *image)
{
	uint64_t address = harness_allocate(program->harness, WIDTH * HEIGHT * 4);

	for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
		((float *)(uintptr_t)address)[i] = (float)i;
	*image = (struct engine_image){
		.shape = ENGINE_SHAPE_2D,
		.texel = ENGINE_TEXEL_F32,
		.channels = 1,
		.texel_bytes = 4,
		.level_count = 1,
		.levels = {{address, WIDTH, HEIGHT, 1, WIDTH * 4, WIDTH * HEIGHT * 4}},
	};
}

static const struct engine_sampler clamp = {
	.address = {ENGINE_ADDRESS_CLAMP, ENGINE_ADDRESS_CLAMP, ENGINE_ADDRESS_CLAMP},
};

static void handle_give(struct program *program, uint64_t handle)
{
	memcpy(program->in, &handle, sizeof(handle));
}

static void expect_fault(struct program *program, uint64_t handle, enum engine_fault fault)
{
	handle_give(program, handle);
	program_run(program, 1, 32, 0, 0);
	assert_int_equal(program->result.fault, fault);
}

/* Any number that is no live handle of the kind ends the launch. */
static void test_handles(void **state)
{
	struct engine_image image;
	struct program program;
	uint64_t texture, surface, next;

	(void)state;
	program_load(&program, "", HANDLE "tex.2d.v4.f32.s32 {%f1,%f2,%f3,%f4}, [%rd1, {0, 0}];", 2);
	image_make(&program, &image);
	texture = engine_texture_create(program.harness->engine, &image, &clamp);
	surface = engine_texture_create(program.harness->engine, &image, NULL);
	expect_fault(&program, texture, ENGINE_FAULT_NONE);
	expect_fault(&program, surface, ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect_fault(&program, 0, ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect_fault(&program, texture + 1, ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect_fault(&program, UINT64_MAX, ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect_fault(&program, image.levels[0].address, ENGINE_FAULT_ILLEGAL_ADDRESS);
	assert_false(engine_texture_destroy(program.harness->engine, texture, true));
	assert_true(engine_texture_destroy(program.harness->engine, texture, false));
	assert_false(engine_texture_destroy(program.harness->engine, texture, false));
	expect_fault(&program, texture, ENGINE_FAULT_ILLEGAL_ADDRESS);
	/* The slot is used again, the handle is another. */
	next = engine_texture_create(program.harness->engine, &image, &clamp);
	assert_int_not_equal(next, texture);
	expect_fault(&program, texture, ENGINE_FAULT_ILLEGAL_ADDRESS);
	expect_fault(&program, next, ENGINE_FAULT_NONE);
	program_end(&program);
}

/* Texels in memory that is not there, or never was the device's. */
static void test_memory(void **state)
{
	struct engine_image image;
	struct program program;
	static float outside[WIDTH * HEIGHT];

	(void)state;
	program_load(&program, "",
		     HANDLE "tex.2d.v4.f32.s32 {%f1,%f2,%f3,%f4}, [%rd1, {1, 1}]; st.global.f32 [%at], %f1;", 2);
	image_make(&program, &image);
	image.levels[0].address += 1 << 20;
	expect_fault(&program, engine_texture_create(program.harness->engine, &image, &clamp),
		     ENGINE_FAULT_ILLEGAL_ADDRESS);
	image.levels[0].address = (uint64_t)(uintptr_t)outside;
	expect_fault(&program, engine_texture_create(program.harness->engine, &image, &clamp),
		     ENGINE_FAULT_ILLEGAL_ADDRESS);
	/* Unless the host lets the device at it. */
	outside[WIDTH + 1] = 2.5f;
	program.harness->host_base = (uint64_t)(uintptr_t)outside;
	program.harness->host_bytes = sizeof(outside);
	expect_fault(&program, engine_texture_create(program.harness->engine, &image, &clamp), ENGINE_FAULT_NONE);
	assert_true(((float *)program.out)[0] == 2.5f);
	program_end(&program);
}

/* Whatever the bits of a coordinate are, the texel is one of the texture's. */
static void test_coordinates(void **state)
{
	static const uint32_t bits[] = {0x7fc00000, 0xffc00000, 0x7f800000, 0xff800000, 0x7f7fffff, 0xff7fffff,
					0x4f000000, 0xcf000000, 0x00000001, 0x80000000, 0x3f7fffff, 0x5f000000};
	static const enum engine_address_mode modes[] = {ENGINE_ADDRESS_WRAP, ENGINE_ADDRESS_CLAMP,
							 ENGINE_ADDRESS_MIRROR, ENGINE_ADDRESS_BORDER};
	struct engine_image image;
	struct program program;

	(void)state;
	program_load(&program, "",
		     HANDLE "add.u64 %rd2, %rd2, 8; mad.wide.u32 %rd3, %me, 4, %rd2; ld.global.f32 %f5, [%rd3];\n"
			    "tex.2d.v4.f32.f32 {%f1,%f2,%f3,%f4}, [%rd1, {%f5, %f5}];\n"
			    "tex.level.2d.v4.f32.f32 {%f6,%f2,%f3,%f4}, [%rd1, {%f5, %f5}], %f5;\n"
			    "tex.grad.2d.v4.f32.f32 {%f7,%f2,%f3,%f4}, [%rd1, {%f5, %f5}], {%f5, %f5}, {%f5, %f5};\n"
			    "tld4.r.2d.v4.f32.f32 {%f8,%f2,%f3,%f4}, [%rd1, {%f5, %f5}];\n"
			    "tex.cube.v4.f32.f32 {%f9,%f2,%f3,%f4}, [%rd1, {%f5, %f5, %f5, %f5}];\n"
			    "mov.b32 %r5, %f5; tex.a2d.v4.f32.s32 {%f10,%f2,%f3,%f4}, [%rd1, {%r5, %r5, %r5, %r5}];\n"
			    "st.global.f32 [%at], %f1;",
		     2);
	image_make(&program, &image);
	memcpy(program.in + 2, bits, sizeof(bits));
	for (unsigned turn = 0; turn < 16; turn++) {
		struct engine_sampler sampler = {.linear = turn & 1, .normalised = turn & 2, .level_max = 100.0f};

		for (int axis = 0; axis < 3; axis++)
			sampler.address[axis] = modes[turn / 4];
		handle_give(&program, engine_texture_create(program.harness->engine, &image, &sampler));
		program_run(&program, 1, sizeof(bits) / sizeof(bits[0]), 0, 0);
		assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
		for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
			float texel = ((float *)program.out)[i];

			if (!(texel >= 0.0f && texel < WIDTH * HEIGHT))
				fail_msg("turn %u: 0x%08x reads %g", turn, bits[i], (double)texel);
		}
	}
	program_end(&program);
}

static void surface_expect(const char *code, enum engine_fault fault)
{
	struct engine_image image;
	struct program program;
	char body[1024];

	snprintf(body, sizeof(body), "%s%s", HANDLE, code);
	program_load(&program, "", body, 2);
	image_make(&program, &image);
	expect_fault(&program, engine_texture_create(program.harness->engine, &image, NULL), fault);
	program_end(&program);
}

static void test_surface_faults(void **state)
{
	(void)state;
	surface_expect("suld.b.2d.b32.trap {%r5}, [%rd1, {28, 3}];", ENGINE_FAULT_NONE);
	surface_expect("suld.b.2d.b32.trap {%r5}, [%rd1, {32, 3}];", ENGINE_FAULT_TRAP);
	surface_expect("suld.b.2d.b32.trap {%r5}, [%rd1, {0, -1}];", ENGINE_FAULT_TRAP);
	surface_expect("suld.b.3d.b32.trap {%r5}, [%rd1, {0, 0, 1, 0}];", ENGINE_FAULT_TRAP);
	surface_expect("sust.b.2d.b32.trap [%rd1, {-4, 0}], {%r5};", ENGINE_FAULT_TRAP);
	surface_expect("sust.b.2d.b32.zero [%rd1, {-4, 0}], {%r5};", ENGINE_FAULT_NONE);
	surface_expect("sust.b.2d.b32.clamp [%rd1, {-2147483648, 2147483647}], {%r5};", ENGINE_FAULT_NONE);
	surface_expect("suld.b.2d.b32.clamp {%r5}, [%rd1, {2, 0}];", ENGINE_FAULT_MISALIGNED_ADDRESS);
	surface_expect("suld.b.2d.v4.b32.trap {%r5,%r6,%r7,%r8}, [%rd1, {16, 0}];", ENGINE_FAULT_NONE);
	surface_expect("suld.b.2d.v4.b32.trap {%r5,%r6,%r7,%r8}, [%rd1, {20, 0}];", ENGINE_FAULT_MISALIGNED_ADDRESS);
	surface_expect("suld.b.2d.v4.b32.trap {%r5,%r6,%r7,%r8}, [%rd1, {32, 0}];", ENGINE_FAULT_TRAP);
	surface_expect("tex.2d.v4.f32.s32 {%f1,%f2,%f3,%f4}, [%rd1, {0, 0}];", ENGINE_FAULT_ILLEGAL_ADDRESS);
}

/* Lanes of several blocks add to one texel; queries tell the extents. */
static void test_reduce_and_query(void **state)
{
	struct engine_image image;
	struct program program;
	uint32_t *texels;

	(void)state;
	program_load(&program, "",
		     HANDLE "sured.b.add.2d.u32.trap [%rd1, {8, 1}], %i; sured.b.max.2d.s32.trap [%rd1, {12, 1}], %i;\n"
			    "mov.u64 %rd4, 1; sured.b.add.2d.u64.trap [%rd1, {16, 1}], %rd4;\n"
			    "suq.width.b32 %r5, [%rd1]; suq.height.b32 %r6, [%rd1]; mad.lo.u32 %r7, %r5, 100, %r6;\n"
			    "st.global.u32 [%at], %r7;",
		     2);
	image_make(&program, &image);
	texels = (uint32_t *)(uintptr_t)image.levels[0].address;
	memset(texels, 0, WIDTH * HEIGHT * 4);
	expect_fault(&program, engine_texture_create(program.harness->engine, &image, NULL), ENGINE_FAULT_NONE);
	program_run(&program, 10, 64, 0, 0);
	assert_int_equal(program.result.fault, ENGINE_FAULT_NONE);
	/* The first run had the lanes 0 to 31. */
	assert_int_equal(texels[WIDTH + 2], 31 * 32 / 2 + 639 * 640 / 2);
	assert_int_equal(texels[WIDTH + 3], 639);
	assert_int_equal(texels[WIDTH + 4], 32 + 640);
	assert_int_equal(program.out[5], WIDTH * 100 + HEIGHT);
	program_end(&program);

	program_load(&program, "",
		     HANDLE "txq.level.width.b32 %r5, [%rd1], 1; txq.num_mipmap_levels.b32 %r6, [%rd1];\n"
			    "mad.lo.u32 %r7, %r5, 100, %r6; st.global.u32 [%at], %r7;",
		     1);
	image_make(&program, &image);
	image.level_count = 2;
	image.levels[1] = image.levels[0];
	image.levels[1].width = WIDTH / 2;
	expect_fault(&program, engine_texture_create(program.harness->engine, &image, &clamp), ENGINE_FAULT_NONE);
	assert_int_equal(program.out[0], WIDTH / 2 * 100 + 2);
	program_end(&program);
}

/* sRGB texels become linear, their alpha is so already (IEC 61966-2-1); what is a float to whom. */
static void test_readings(void **state)
{
	struct engine_sampler sampler = clamp;
	struct engine_image image;
	struct program program;
	uint8_t *texels;

	(void)state;
	program_load(&program, "",
		     HANDLE "tex.2d.v4.f32.s32 {%f1,%f2,%f3,%f4}, [%rd1, {0, 0}]; ld.param.u64 %rd3, [out];\n"
			    "st.global.v4.f32 [%rd3], {%f1,%f2,%f3,%f4};",
		     1);
	image_make(&program, &image);
	image.texel = ENGINE_TEXEL_U8;
	image.channels = 4;
	texels = (uint8_t *)(uintptr_t)image.levels[0].address;
	memcpy(texels, (uint8_t[]){0, 5, 188, 188}, 4);
	sampler.srgb = true;
	expect_fault(&program, engine_texture_create(program.harness->engine, &image, &sampler), ENGINE_FAULT_NONE);
	assert_true(((float *)program.out)[0] == 0.0f);
	assert_true(fabsf(((float *)program.out)[1] - 5.0f / 255 / 12.92f) < 1e-6f);
	assert_true(fabsf(((float *)program.out)[2] - 0.5028865f) < 1e-5f);
	assert_true(((float *)program.out)[3] == 188.0f / 255);
	/* Formats that are normalised by name are so to samplers that ask for integers too. */
	sampler.srgb = false;
	sampler.as_integer = true;
	expect_fault(&program, engine_texture_create(program.harness->engine, &image, &sampler), ENGINE_FAULT_NONE);
	assert_int_equal(program.out[1], 5);
	image.normal = true;
	expect_fault(&program, engine_texture_create(program.harness->engine, &image, &sampler), ENGINE_FAULT_NONE);
	assert_true(((float *)program.out)[1] == 5.0f / 255);
	program_end(&program);
}

/* By name, or by an address that stands for it in a register: what is bound, zeros of nothing, one kind for the other.
 */
static void test_references(void **state)
{
	struct engine_image image;
	struct program program;
	uint64_t texture, surface;

	(void)state;
	program_load(&program, ".global .texref t;\n.global .surfref s;\n",
		     "tex.2d.v4.f32.s32 {%f1,%f2,%f3,%f4}, [t, {3, 1}]; st.global.f32 [%at], %f1;\n"
		     "mov.u64 %rd1, t; txq.width.b32 %r1, [%rd1]; st.global.u32 [%at+4], %r1;\n"
		     "mov.u32 %r2, 0f40f00000; sust.b.2d.b32.trap [s, {4, 0}], %r2;\n",
		     2);
	image_make(&program, &image);
	assert_int_equal(engine_module_find_reference(program.module, "t", false, &texture), ENGINE_OK);
	assert_int_equal(engine_module_find_reference(program.module, "s", true, &surface), ENGINE_OK);
	assert_int_equal(engine_module_find_reference(program.module, "t", true, &texture), ENGINE_ERROR_NOT_FOUND);
	assert_int_equal(engine_module_find_global(program.module, "t", &texture, &(size_t){0}),
			 ENGINE_ERROR_NOT_FOUND);
	program.out[0] = program.out[1] = 7;
	expect_fault(&program, 0, ENGINE_FAULT_NONE);
	assert_true(((float *)program.out)[0] == 0 && program.out[1] == 0);
	engine_texture_bind(program.harness->engine, texture, &image, &clamp);
	engine_texture_bind(program.harness->engine, surface, &image, NULL);
	expect_fault(&program, 0, ENGINE_FAULT_NONE);
	assert_true(((float *)program.out)[0] == WIDTH + 3 && program.out[1] == WIDTH);
	assert_true(((float *)(uintptr_t)image.levels[0].address)[1] == 7.5f);
	engine_texture_bind(program.harness->engine, texture, NULL, NULL);
	expect_fault(&program, 0, ENGINE_FAULT_NONE);
	assert_true(((float *)program.out)[0] == 0);
	program_end(&program);
}

static void load_expect(const char *code, enum engine_status expected)
{
	static char text[2048];
	struct harness *harness = harness_create(1);
	struct engine_module *module;
	enum engine_status status;

	snprintf(text, sizeof(text),
		 ".version 7.8\n.target sm_80\n.address_size 64\n.visible .entry k()\n{\n.reg .b64 %%rd<8>;\n"
		 ".reg .b32 %%r<8>;\n.reg .f32 %%f<8>;\n.reg .pred %%p<4>;\n%s\nret;\n}\n",
		 code);
	module = harness_load(harness, text, &status);
	if (status != expected)
		fail_msg("%s: status %d, expected %d: %s", code, (int)status, (int)expected, harness->log);
	engine_module_unload(module);
	harness_destroy(harness);
}

static void test_load(void **state)
{
	(void)state;
	load_expect("tex.2d.v4.f32.f32 {%f1,%f2,%f3,%f4}|%p1, [%rd1, {%f5, %f6}];", ENGINE_OK);
	load_expect("tex.2d.v4.f32.f32 {%f1,%f2,%f3,%f4}, [%rd1, {%f5}];", ENGINE_ERROR_INVALID_PTX);
	load_expect("tex.2d.v4.f32.f32 {%f1,%f2,%f3}, [%rd1, {%f5, %f6}];", ENGINE_ERROR_INVALID_PTX);
	load_expect("tex.2d.v4.f32.f32 {%f1,%f2,%f3,%rd4}, [%rd1, {%f5, %f6}];", ENGINE_ERROR_INVALID_PTX);
	load_expect("tex.2d.v4.f32.f32 {%f1,%f2,%f3,%f4}, [%r1, {%f5, %f6}];", ENGINE_ERROR_INVALID_PTX);
	load_expect("tex.2d.v4.f32.f32 {%f1,%f2,%f3,%f4}, [%rd1, {%f5, %p1}];", ENGINE_ERROR_INVALID_PTX);
	load_expect("tex.level.2d.v4.f32.f32 {%f1,%f2,%f3,%f4}, [%rd1, {%f5, %f6}];", ENGINE_ERROR_INVALID_PTX);
	load_expect("tex.cube.v4.f32.s32 {%f1,%f2,%f3,%f4}, [%rd1, {%r1, %r2, %r3, %r4}];", ENGINE_ERROR_INVALID_PTX);
	load_expect("tex.2d.v4.f32.f32 {%f1,%f2,%f3,%f4}, [%rd1, {%f5, %f6}], {%r1, %r2};",
		    ENGINE_ERROR_UNSUPPORTED_PTX);
	load_expect("tex.2d.v4.f32.f32 {%f1,%f2,%f3,%f4}, [%rd1, %rd2, {%f5, %f6}];", ENGINE_ERROR_UNSUPPORTED_PTX);
	load_expect("tex.2dms.v4.f32.s32 {%f1,%f2,%f3,%f4}, [%rd1, {%r1, %r2, %r3, %r4}];",
		    ENGINE_ERROR_UNSUPPORTED_PTX);
	load_expect("sust.p.2d.v4.b32.trap [%rd1, {%r1, %r2}], {%r3, %r4, %r5, %r6};", ENGINE_ERROR_UNSUPPORTED_PTX);
	load_expect("suld.b.2d.v4.b64.trap {%rd2,%rd3,%rd4,%rd5}, [%rd1, {%r1, %r2}];", ENGINE_ERROR_UNSUPPORTED_PTX);
	load_expect("suld.b.2d.b32.trap {%r3}, [%rd1, {%r1, %r2, %r3, %r4, %r5}];", ENGINE_ERROR_INVALID_PTX);
	load_expect("sured.b.add.2d.f32.trap [%rd1, {%r1, %r2}], %f1;", ENGINE_ERROR_UNSUPPORTED_PTX);
	/* Coordinates belong to textures alone. */
	load_expect("ld.global.u32 %r1, [%rd1, {%r2}];", ENGINE_ERROR_INVALID_PTX);
	/* Names belong to references alone. */
	load_expect(".shared .u64 v; tex.2d.v4.f32.f32 {%f1,%f2,%f3,%f4}, [v, {%f5, %f6}];", ENGINE_ERROR_INVALID_PTX);
	load_expect("suld.b.2d.b32.trap {%r3}, [%rd1, {%r1, %r2};", ENGINE_ERROR_INVALID_PTX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* The first: cmocka sets its own handler of SIGSEGV before each test, the engine's is set once. */
		cmocka_unit_test(test_memory),		 cmocka_unit_test(test_handles),
		cmocka_unit_test(test_coordinates),	 cmocka_unit_test(test_surface_faults),
		cmocka_unit_test(test_reduce_and_query), cmocka_unit_test(test_readings),
		cmocka_unit_test(test_references),	 cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests_name("textures", tests, NULL, NULL);
}
