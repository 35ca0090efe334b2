/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PTX engine: parses PTX text into executable modules and runs kernels on
 * the CPU, a warp of 32 lanes at a time.
 *
 * The engine knows nothing of the CUDA driver API: contexts, streams, fatbins
 * and handles live in softgpu/driver, which is the only caller.
 *
 * Addresses.  A device address is a host virtual address inside the arena that
 * the caller reserved (struct engine_memory).  Arena pages that are not
 * allocated are PROT_NONE; the engine turns the SIGSEGV of such an access, and
 * any access outside the arena and the registered host ranges, into
 * ENGINE_FAULT_ILLEGAL_ADDRESS.  A kernel can never read or write memory of the
 * process outside those ranges: the kernel's author is not trusted.
 *
 * Threads.  Modules are immutable once loaded and may be shared by threads.
 * engine_launch() may be called by several threads at once; it returns when the
 * grid has finished.  Blocks of a grid run on the engine's worker threads.
 */
#ifndef SOFTGPU_ENGINE_H
#define SOFTGPU_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum engine_status {
	ENGINE_OK = 0,
	ENGINE_ERROR_OUT_OF_MEMORY,
	ENGINE_ERROR_INVALID_PTX,     /* syntax or type error; the log names the line */
	ENGINE_ERROR_UNSUPPORTED_PTX, /* valid PTX that the engine does not execute; the log names the instruction */
	ENGINE_ERROR_UNRESOLVED,      /* extern symbol without a definition; the log names it */
	ENGINE_ERROR_NOT_FOUND,
};

/* Where a module's .global and .const variables live, and what a kernel may touch. */
struct engine_memory {
	uint64_t arena_base;
	uint64_t arena_bytes;
	/* Allocates device memory inside the arena, zeroed; returns 0 when there is none. */
	uint64_t (*allocate)(void *user, size_t bytes, size_t alignment);
	void (*release)(void *user, uint64_t address);
	/* True if [address, address + bytes) is host memory registered for the device (pinned, mapped). */
	bool (*host_range_contains)(void *user, uint64_t address, size_t bytes);
	void *user;
};

struct engine;
struct engine_module;
struct engine_function;

struct engine_config {
	struct engine_memory memory;
	unsigned worker_count; /* threads that run blocks; 0: one per online CPU */
	/* Device printf and assert text, already formatted; called in launch order of the text within a warp. */
	void (*print)(void *user, const char *text, size_t bytes);
	void *print_user;
	size_t heap_bytes; /* device malloc() heap; 0: 8 MiB */
	/* cudaGraphSetConditional(); NULL or false: a handle that is none, which ends the launch. */
	bool (*condition_set)(void *user, uint64_t handle, uint32_t value);
	void *condition_user;
};

enum engine_status engine_create(const struct engine_config *config, struct engine **ret_engine);
void engine_destroy(struct engine *engine); /* accepts NULL */

/*
 * Parses and links 'count' PTX texts (not necessarily NUL-terminated) into one
 * module.  On failure *ret_module is untouched and 'log' (of log_bytes, always
 * terminated when log_bytes > 0) says why, in one line that names the PTX line.
 */
struct engine_ptx {
	const char *text;
	size_t bytes;
};
enum engine_status engine_module_load(struct engine *engine, const struct engine_ptx *texts, size_t count, char *log,
				      size_t log_bytes, struct engine_module **ret_module);

/*
 * The same, with .global variables at addresses of the caller's: of registered host memory that has their values
 * already.  A name that the texts do not define is ENGINE_ERROR_UNRESOLVED.
 */
struct engine_placement {
	const char *name;
	uint64_t address;
};
enum engine_status engine_module_load_placed(struct engine *engine, const struct engine_ptx *texts, size_t count,
					     const struct engine_placement *placements, size_t placement_count,
					     char *log, size_t log_bytes, struct engine_module **ret_module);
void engine_module_unload(struct engine_module *module); /* accepts NULL; no launch of it may be running */

/* Entry points (.entry), in the order of the text; NULL past the end. */
const struct engine_function *engine_module_function_at(const struct engine_module *module, size_t index);
const struct engine_function *engine_module_find_function(const struct engine_module *module, const char *name);

/* .global and .const variables: device address and size. */
enum engine_status engine_module_find_global(const struct engine_module *module, const char *name,
					     uint64_t *ret_address, size_t *ret_bytes);

/* Texture and surface references (.texref, .surfref): the address is what engine_texture_bind() takes. */
enum engine_status engine_module_find_reference(const struct engine_module *module, const char *name, bool surface,
						uint64_t *ret_address);

/* Managed variables (.attribute(.managed)); false past the end. */
struct engine_managed {
	const char *name;
	uint64_t address;
	uint64_t bytes;
	uint64_t alignment;
};
bool engine_module_managed_at(const struct engine_module *module, size_t index, struct engine_managed *ret_managed);

/*
 * Addresses in the initial value of the managed variable, which holds them as words of 64 bits: of which variable, NULL
 * for a function, plus what; false past the end.
 */
struct engine_address {
	uint64_t offset;
	const char *variable;
	uint64_t addend;
};
bool engine_module_managed_address_at(const struct engine_module *module, size_t managed, size_t index,
				      struct engine_address *ret_address);

struct engine_parameter {
	uint32_t offset;
	uint32_t bytes;
};

struct engine_function_info {
	const char *name;
	uint32_t parameter_count;
	uint32_t parameter_bytes; /* of the whole parameter buffer */
	const struct engine_parameter *parameters;
	uint32_t static_shared_bytes;
	uint32_t local_bytes; /* per lane */
	uint32_t constant_bytes;
	uint32_t register_count;	/* as reported by CU_FUNC_ATTRIBUTE_NUM_REGS, at most 255 */
	uint32_t max_threads_per_block; /* from .maxntid, else 1024 */
	uint32_t required_threads[3];	/* .reqntid, 0: none */
	uint32_t ptx_version;		/* 83 for .version 8.3 */
	uint32_t target_sm;		/* 90 for .target sm_90 */
	bool names_references;		/* in instructions of its own */
};
void engine_function_get_info(const struct engine_function *function, struct engine_function_info *ret_info);

enum engine_fault {
	ENGINE_FAULT_NONE = 0,
	ENGINE_FAULT_ILLEGAL_ADDRESS,
	ENGINE_FAULT_MISALIGNED_ADDRESS,
	ENGINE_FAULT_TRAP,   /* trap; */
	ENGINE_FAULT_ASSERT, /* __assertfail */
	ENGINE_FAULT_ILLEGAL_INSTRUCTION,
	ENGINE_FAULT_STACK_OVERFLOW,
	ENGINE_FAULT_CANCELLED, /* engine_launch's cancel flag was raised */
	ENGINE_FAULT_OUT_OF_MEMORY,
};

struct engine_launch {
	const struct engine_function *function;
	uint32_t grid[3];
	uint32_t block[3];
	uint32_t cluster[3]; /* 0 or 1: no cluster */
	uint32_t dynamic_shared_bytes;
	const void *parameters; /* parameter_bytes of the function, laid out as the PTX declares them */
	size_t parameter_bytes;
	unsigned workers_max;	    /* that run blocks at a time; 0: as many as there are */
	bool cooperative;	    /* all blocks are resident: grid-wide barriers work */
	const _Atomic bool *cancel; /* NULL or polled by running warps: ends an endless kernel */
};

struct engine_result {
	enum engine_fault fault;
	uint64_t fault_address;
	uint64_t lane_operations; /* instructions executed times active lanes */
};

/*
 * Textures and surfaces.  A kernel names one by a 64-bit handle, which it may
 * invent: a handle that is none ends the launch.  Texels are device memory like
 * any other, checked at each access; the caller guarantees only that extents and
 * pitches describe [address, end) without wrapping around.
 */
enum engine_texel {
	ENGINE_TEXEL_U8,
	ENGINE_TEXEL_S8,
	ENGINE_TEXEL_U16,
	ENGINE_TEXEL_S16,
	ENGINE_TEXEL_U32,
	ENGINE_TEXEL_S32,
	ENGINE_TEXEL_F16,
	ENGINE_TEXEL_F32,
};

enum engine_shape {
	ENGINE_SHAPE_LINEAR, /* a buffer: one row, read by index */
	ENGINE_SHAPE_1D,
	ENGINE_SHAPE_2D,
	ENGINE_SHAPE_3D,
	ENGINE_SHAPE_CUBE, /* six slices a layer */
};

/* None of the extents is 0.  Slices are those of a volume, or layers and faces. */
struct engine_level {
	uint64_t address;
	uint32_t width, height, depth; /* texels, rows, slices */
	uint64_t row_bytes, slice_bytes;
};

#define ENGINE_LEVELS_MAX 18

struct engine_image {
	enum engine_shape shape;
	bool layered;
	enum engine_texel texel;
	bool normal;	   /* 8 and 16-bit integers are floats to every sampler */
	uint32_t channels; /* 1, 2 or 4 */
	uint32_t texel_bytes;
	uint32_t level_count; /* at least 1 */
	struct engine_level levels[ENGINE_LEVELS_MAX];
};

enum engine_address_mode {
	ENGINE_ADDRESS_WRAP,
	ENGINE_ADDRESS_CLAMP,
	ENGINE_ADDRESS_MIRROR,
	ENGINE_ADDRESS_BORDER,
};

struct engine_sampler {
	enum engine_address_mode address[3];
	bool linear; /* filter; only of texels that are read as floats */
	bool level_linear;
	bool normalised; /* coordinates in [0, 1) */
	bool as_integer; /* integer texels are not turned into floats */
	bool srgb;	 /* of 8-bit texels that are */
	float level_bias, level_min, level_max;
	float border[4];
};

/* The low bits of a handle differ among all that live, and are less than this. */
#define ENGINE_TEXTURE_SLOTS (1u << 20)

/* The sampler is NULL for a surface.  0: out of memory.  A texture may be destroyed while kernels use it. */
uint64_t engine_texture_create(struct engine *engine, const struct engine_image *image,
			       const struct engine_sampler *sampler);
/* False: there is no such texture (surface). */
bool engine_texture_destroy(struct engine *engine, uint64_t handle, bool surface);

/*
 * What kernels find at the address of a loaded module's reference from now on, those that run included.  The image is
 * NULL for nothing, as at first: zeros, and what is written is lost.  The sampler is NULL for a surface.
 */
void engine_texture_bind(struct engine *engine, uint64_t reference, const struct engine_image *image,
			 const struct engine_sampler *sampler);

/* Runs the grid to its end.  Arguments have been checked by the caller (dimensions within limits, sizes). */
void engine_launch(struct engine *engine, const struct engine_launch *launch, struct engine_result *ret_result);

#endif
