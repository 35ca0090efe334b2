/* SPDX-License-Identifier: Apache-2.0 */
/* A module with texture and surface references, and what its kernels find by them (texture_references_parts.c). */
#ifndef TEST_TEXTURE_REFERENCES_PARTS_H
#define TEST_TEXTURE_REFERENCES_PARTS_H

#include "answers.h"
#include "texture_references.h"

enum { SIDE = 8, TEXELS = SIDE * SIDE };

extern const char references_image[];
extern CUstream stream;
extern CUmodule module;
extern CUfunction read_plane, read_row, read_level, write_plane, ask, read_named;
extern CUtexref plane, row, levels;
extern CUsurfref canvas;
extern CUdeviceptr found, linear;
extern CUarray first, second;

/* False: it cannot be begun, which has been said. */
bool module_begin(void);
/* Of floats that count from 'value' on. */
CUarray array_make(float value);
/* Of what the kernel finds at 'offset' from each texel's left edge the sum and some. */
void plane_read(const char *name, float offset);
void row_read(const char *name);
void level_read(const char *name, float level);
void named_read(const char *name);
void asked(const char *name);
/* All that can be asked of a reference. */
void state_tell(CUtexref reference);

#endif
