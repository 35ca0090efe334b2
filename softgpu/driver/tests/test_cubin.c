/* SPDX-License-Identifier: Apache-2.0 */
/* What the linker makes of managed variables. */
#include "common.h"

#include <elf.h>
#include <sys/mman.h>

/* The section of that name in an ELF file. */
static Elf64_Shdr *section_of(void *file, const char *name)
{
	const Elf64_Ehdr *header = file;
	Elf64_Shdr *sections = (Elf64_Shdr *)((char *)file + header->e_shoff);

	for (size_t i = 0; i < header->e_shnum; i++)
		if (!strcmp((char *)file + sections[header->e_shstrndx].sh_offset + sections[i].sh_name, name))
			return &sections[i];
	fail_msg("no section %s", name);
	return NULL;
}

/* Adds to its variable; answers where it is. */
static char managed_text[] =
	".version 8.0\n.target sm_80\n.address_size 64\n"
	".visible .global .align 4 .u32 plain = 9;\n"
	".visible .global .attribute(.managed) .align 4 .u32 number = 42;\n"
	".visible .global .attribute(.managed) .align 8 .u64 to = number;\n"
	".visible .entry add(.param .u64 address)\n{\n"
	".reg .b64 %rd<3>;\n.reg .b32 %r<2>;\n"
	"ld.param.u64 %rd1, [address];\nld.global.u32 %r1, [number];\nadd.s32 %r1, %r1, 1;\n"
	"st.global.u32 [number], %r1;\nmov.u64 %rd2, number;\nst.global.u64 [%rd1], %rd2;\nret;\n}\n";

static uint64_t add_run(CUmodule module)
{
	CUfunction function;
	CUdeviceptr answer;
	void *parameters[] = {&answer};
	uint64_t at = 0;

	assert_ok(cuMemAlloc_v2(&answer, sizeof(at)));
	assert_ok(cuModuleGetFunction(&function, module, "add"));
	assert_ok(launch_one(function, NULL, parameters));
	assert_ok(cuCtxSynchronize());
	assert_ok(cuMemcpyDtoH_v2(&at, answer, sizeof(at)));
	assert_ok(cuMemFree_v2(answer));
	return at;
}

/* What NVIDIA's linker and loader do with managed variables, and what our executor makes of the linker's file. */
static void managed_variables_have_relocations(void **state)
{
	CUdeviceptr address, plain;
	Elf64_Shdr *relocations;
	uint32_t *number;
	uint64_t *words;
	CUlinkState link;
	CUmodule module;
	size_t bytes;
	void *image, *copy;

	(void)state;
	assert_ok(cuLinkCreate_v2(0, NULL, NULL, &link));
	assert_ok(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, managed_text, sizeof(managed_text), "text", 0, NULL, NULL));
	assert_ok(cuLinkComplete(link, &image, &bytes));
	copy = malloc(bytes);
	assert_non_null(copy);
	memcpy(copy, image, bytes);
	assert_ok(cuLinkDestroy(link));
	/* Two addresses, and one in an initial value. */
	relocations = section_of(copy, ".rela.nv.constant4");
	assert_int_equal(relocations->sh_size, 2 * sizeof(Elf64_Rela));
	assert_int_equal(section_of(copy, ".rela.nv.global.init")->sh_size, sizeof(Elf64_Rela));
	assert_int_equal(*(uint32_t *)((char *)copy + section_of(copy, ".nv.global.init")->sh_offset), 42);
	/* As it is, the driver places them. */
	assert_ok(cuModuleLoadData(&module, copy));
	assert_ok(cuModuleGetGlobal_v2(&address, &bytes, module, "number"));
	assert_int_equal(add_run(module), address);
	assert_int_equal(*(uint32_t *)(uintptr_t)address, 43);
	assert_ok(cuModuleUnload(module));
	/* Without its relocation a word is an address that has its value already. */
	number = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(number != MAP_FAILED);
	assert_ok(cuMemHostRegister_v2(number, 4096, 0));
	words = (uint64_t *)((char *)copy + section_of(copy, ".nv.constant4")->sh_offset);
	words[0] = (uintptr_t)number;
	*number = 100;
	memmove((char *)copy + relocations->sh_offset, (char *)copy + relocations->sh_offset + sizeof(Elf64_Rela),
		sizeof(Elf64_Rela));
	relocations->sh_size = sizeof(Elf64_Rela);
	assert_ok(cuModuleLoadData(&module, copy));
	assert_int_equal(add_run(module), (uintptr_t)number);
	assert_int_equal(*number, 101);
	assert_ok(cuModuleGetGlobal_v2(&address, &bytes, module, "to"));
	assert_int_equal(*(uint64_t *)(uintptr_t)address, (uintptr_t)number);
	assert_ok(cuModuleGetGlobal_v2(&plain, &bytes, module, "plain"));
	assert_ok(cuModuleUnload(module));
	/* A word for each variable. */
	section_of(copy, ".nv.constant4")->sh_size = 8;
	assert_result(cuModuleLoadData(&module, copy), CUDA_ERROR_INVALID_IMAGE);
	assert_ok(cuMemHostUnregister(number));
	munmap(number, 4096);
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(managed_variables_have_relocations),
	};

	return cmocka_run_group_tests_name("softgpu cubins", tests, NULL, NULL);
}
