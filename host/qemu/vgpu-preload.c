/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Only in vgpu-cuda.so, the object that the wrapper vgpu-qemu preloads into the
 * distribution's QEMU: makes sure that it is that QEMU.  The device uses QEMU's
 * internal structures, so that another build must not run with it.
 */
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const accepted_ids[] = { VGPU_QEMU_BUILD_IDS };

static bool build_id_read(const struct dl_phdr_info *program, char *ret_text,
                          size_t text_bytes)
{
    for (int i = 0; i < program->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &program->dlpi_phdr[i];
        const char *at = (const char *)(program->dlpi_addr + segment->p_vaddr);
        const char *end = at + segment->p_memsz;

        while (segment->p_type == PT_NOTE && at + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *note = (const void *)at;
            const unsigned char *id =
                (const unsigned char *)at + sizeof(*note) + ((note->n_namesz + 3) & ~3u);

            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
                note->n_descsz * 2 < text_bytes) {
                for (unsigned byte = 0; byte < note->n_descsz; byte++) {
                    snprintf(ret_text + 2 * byte, 3, "%02x", id[byte]);
                }
                return true;
            }
            at = (const char *)id + ((note->n_descsz + 3) & ~3u);
        }
    }
    return false;
}

static int program_check(struct dl_phdr_info *program, size_t size, void *accepted)
{
    char id[128];

    (void)size;
    if (build_id_read(program, id, sizeof(id))) {
        for (size_t i = 0; i < sizeof(accepted_ids) / sizeof(accepted_ids[0]); i++) {
            *(bool *)accepted |= strcmp(id, accepted_ids[i]) == 0;
        }
    }
    return 1; /* the first one is the program itself */
}

/* Before the constructor that registers the device, which needs QEMU's symbols. */
static void __attribute__((constructor(101))) preload_check(void)
{
    bool accepted = false;

    /* Nothing that QEMU starts should load it. */
    unsetenv("LD_PRELOAD");
    dl_iterate_phdr(program_check, &accepted);
    if (!accepted) {
        fprintf(stderr, "vgpu-cuda.so was built for another program than this one: after "
                        "an update of QEMU, "
                        "run build-preload.sh again\n");
        _exit(1);
    }
}
