/* SPDX-License-Identifier: Apache-2.0 */
#include "module.h"
#include "builtin.h"
#include "engine_private.h"
#include "lower.h"
#include "texture.h"

#include <stdlib.h>
#include <string.h>

enum {
	POOL_BYTES_PER_TEXT_BYTE = 512,
	POOL_BYTES_BASE = 64 * 1024 * 1024,
	PARAMETER_BYTES_MAX = 32764,
	VARIABLES_BYTES_ALIGNMENT = 256,
};

const struct engine_function *module_call_target(const struct engine_module *module, uint64_t address)
{
	uint64_t index = address - WINDOW_FUNCTION;

	return index < module->call_target_count ? module->call_targets[index] : NULL;
}

static bool no_memory(struct load_error *error)
{
	return load_fail(error, ENGINE_ERROR_OUT_OF_MEMORY, 0, "out of memory");
}

static bool function_linkable(const struct ptx_function *function)
{
	return function->has_body && (function->is_visible || function->is_weak || function->is_entry);
}

static bool variable_linkable(const struct ptx_variable *variable)
{
	return !variable->is_extern && (variable->is_visible || variable->is_weak);
}

static struct ptx_function *function_find(const struct engine_module *module, const char *name)
{
	for (size_t u = 0; u < module->unit_count; u++)
		for (struct ptx_function *f = module->units[u]->functions; f; f = f->next)
			if (function_linkable(f) && strcmp(f->name, name) == 0)
				return f;
	return NULL;
}

static struct ptx_variable *variable_find(const struct engine_module *module, const char *name)
{
	for (size_t u = 0; u < module->unit_count; u++)
		for (struct ptx_variable *v = module->units[u]->variables; v; v = v->next)
			if (variable_linkable(v) && strcmp(v->name, name) == 0)
				return v;
	return NULL;
}

/* Declarations get their definition; of several weak ones the first counts, two strong ones are an error. */
static bool module_link(struct engine_module *module, struct load_error *error)
{
	if (module->unit_count == 1)
		return true;
	for (size_t u = 0; u < module->unit_count; u++) {
		for (struct ptx_function *f = module->units[u]->functions; f; f = f->next) {
			struct ptx_function *found = function_find(module, f->name);

			if (!found || found == f || (f->has_body && !function_linkable(f)))
				continue;
			if (f->has_body && !f->is_weak && !found->is_weak)
				return load_fail(error, ENGINE_ERROR_INVALID_PTX, f->line, "'%s' is defined twice",
						 f->name);
			f->definition = found;
		}
		for (struct ptx_variable *v = module->units[u]->variables; v; v = v->next) {
			struct ptx_variable *found = variable_find(module, v->name);

			if (!found || found == v || (!v->is_extern && !variable_linkable(v)) ||
			    v->space != found->space)
				continue;
			if (!v->is_extern && !v->is_weak && !found->is_weak)
				return load_fail(error, ENGINE_ERROR_INVALID_PTX, v->line, "'%s' is defined twice",
						 v->name);
			v->definition = found;
		}
	}
	return true;
}

/* Lays the module's variables of one space behind each other, from *bytes on. */
static bool space_place(struct engine_module *module, enum ptx_space space, uint64_t *bytes)
{
	for (size_t u = 0; u < module->unit_count; u++) {
		for (struct ptx_variable *v = module->units[u]->variables; v; v = v->next) {
			if (v->space != space || v->is_extern || v->definition || v->is_placed ||
			    (space == SPACE_SHARED && (!v->used_by_device_function || !v->bytes)))
				continue;
			*bytes = (*bytes + v->alignment - 1) & ~(v->alignment - 1);
			v->address = *bytes;
			*bytes += v->bytes;
			if (*bytes > module->engine->config.memory.arena_bytes)
				return false;
		}
	}
	return true;
}

static bool variables_place(struct engine_module *module, struct load_error *error)
{
	const struct engine_memory *memory = &module->engine->config.memory;
	uint64_t bytes = 0, constant_begin, shared_bytes = 0;

	if (!space_place(module, SPACE_GLOBAL, &bytes) || !space_place(module, SPACE_SHARED, &shared_bytes))
		return no_memory(error);
	/* Constants lie together, so that isspacep can tell them. */
	bytes = (bytes + VARIABLES_BYTES_ALIGNMENT - 1) & ~(uint64_t)(VARIABLES_BYTES_ALIGNMENT - 1);
	constant_begin = bytes;
	if (!space_place(module, SPACE_CONST, &bytes))
		return no_memory(error);
	/* What .shared variables inside of device functions need. */
	for (size_t u = 0; u < module->unit_count; u++) {
		for (struct ptx_function *f = module->units[u]->functions; f; f = f->next) {
			for (struct ptx_variable *v = f->locals; v; v = v->next) {
				if (v->space != SPACE_SHARED || !v->used_by_device_function)
					continue;
				shared_bytes = (shared_bytes + v->alignment - 1) & ~(v->alignment - 1);
				v->address = shared_bytes;
				shared_bytes += v->bytes;
			}
		}
	}
	if (shared_bytes > UINT32_MAX / 4)
		return load_fail(error, ENGINE_ERROR_INVALID_PTX, 0, "too much shared memory");
	module->constant_bytes = bytes - constant_begin < UINT32_MAX ? (uint32_t)(bytes - constant_begin) : UINT32_MAX;
	module->common_shared_bytes = (uint32_t)shared_bytes;
	if (!bytes)
		return true;
	module->memory = memory->allocate(memory->user, bytes, VARIABLES_BYTES_ALIGNMENT);
	module->memory_bytes = bytes;
	if (!module->memory)
		return no_memory(error);
	module->constants_begin = module->memory + constant_begin;
	module->constants_end = module->memory + bytes;
	for (size_t u = 0; u < module->unit_count; u++)
		for (struct ptx_variable *v = module->units[u]->variables; v; v = v->next)
			if (!v->is_extern && !v->definition && !v->is_placed && v->space != SPACE_SHARED)
				v->address += module->memory;
	return true;
}

static bool placements_note(struct engine_module *module, const struct engine_placement *placements, size_t count,
			    struct load_error *error)
{
	for (size_t i = 0; i < count; i++) {
		bool found = false;

		for (size_t u = 0; u < module->unit_count && !found; u++) {
			for (struct ptx_variable *v = module->units[u]->variables; v && !found; v = v->next) {
				if (v->space != SPACE_GLOBAL || v->is_extern || v->definition || v->is_placed ||
				    strcmp(v->name, placements[i].name) != 0)
					continue;
				v->is_placed = true;
				v->address = placements[i].address;
				found = true;
			}
		}
		if (!found)
			return load_fail(error, ENGINE_ERROR_UNRESOLVED, 0, "variable '%s' is not defined",
					 placements[i].name);
	}
	return true;
}

static bool variable_initialise(struct ptx_variable *variable, struct load_error *error)
{
	for (const struct ptx_initialiser *i = variable->initialisers; i; i = i->next) {
		uint64_t bits = i->bits;

		if (i->variable) {
			const struct ptx_variable *target =
				i->variable->definition ? i->variable->definition : i->variable;

			if (target->is_extern)
				return load_fail(error, ENGINE_ERROR_UNRESOLVED, variable->line,
						 "variable '%s' is not defined", target->name);
			bits += target->address;
		} else if (i->function) {
			const struct ptx_function *target =
				i->function->definition ? i->function->definition : i->function;

			if (!target->has_body)
				return load_fail(error, ENGINE_ERROR_UNRESOLVED, variable->line,
						 "function '%s' is not defined", target->name);
			bits += WINDOW_FUNCTION + target->call_target_index;
		}
		memcpy((void *)(uintptr_t)(variable->address + i->offset), &bits, i->bytes);
	}
	return true;
}

static bool variables_initialise(struct engine_module *module, struct load_error *error)
{
	for (size_t u = 0; u < module->unit_count; u++)
		for (struct ptx_variable *v = module->units[u]->variables; v; v = v->next)
			if (!v->is_extern && !v->definition && !v->is_placed && v->space != SPACE_SHARED &&
			    !variable_initialise(v, error))
				return false;
	return true;
}

static bool parameters_place(struct engine_module *module, struct ptx_function *function, struct load_error *error)
{
	struct engine_parameter *parameters =
		pool_allocate_array(module->pool, function->parameter_count + 1u, sizeof(*parameters));
	uint64_t bytes = 0;

	if (!parameters)
		return no_memory(error);
	for (uint32_t i = 0; i < function->parameter_count; i++) {
		struct ptx_variable *v = function->parameters[i];

		bytes = (bytes + v->alignment - 1) & ~(v->alignment - 1);
		v->address = bytes;
		parameters[i].offset = (uint32_t)bytes;
		parameters[i].bytes = (uint32_t)v->bytes;
		bytes += v->bytes;
		if (bytes > PARAMETER_BYTES_MAX)
			return load_fail(error, ENGINE_ERROR_INVALID_PTX, v->line, "too many bytes of parameters");
	}
	function->code->info.parameters = parameters;
	function->code->info.parameter_count = function->parameter_count;
	function->code->info.parameter_bytes = (uint32_t)bytes;
	return true;
}

static bool function_prepare(struct engine_module *module, struct ptx_function *function, struct load_error *error)
{
	struct engine_function *code = pool_allocate(module->pool, sizeof(*code));

	if (!code)
		return no_memory(error);
	function->code = code;
	code->module = module;
	code->info.name = function->name;
	code->info.max_threads_per_block = function->max_threads;
	memcpy(code->info.required_threads, function->required_threads, sizeof(code->info.required_threads));
	code->info.ptx_version = function->unit->version;
	code->info.target_sm = function->unit->target_sm;
	code->info.constant_bytes = module->constant_bytes;
	if (!function->is_entry) {
		function->call_target_index = module->call_target_count++;
		return true;
	}
	module->entry_count++;
	return parameters_place(module, function, error);
}

static bool functions_lower(struct engine_module *module, struct load_error *error)
{
	for (size_t u = 0; u < module->unit_count; u++)
		for (struct ptx_function *f = module->units[u]->functions; f; f = f->next)
			if (f->has_body && !f->definition && !function_prepare(module, f, error))
				return false;
	module->entries = pool_allocate_array(module->pool, module->entry_count + 1, sizeof(*module->entries));
	module->call_targets =
		pool_allocate_array(module->pool, module->call_target_count + 1u, sizeof(*module->call_targets));
	if (!module->entries || !module->call_targets)
		return no_memory(error);
	size_t entry = 0;

	for (size_t u = 0; u < module->unit_count; u++) {
		for (struct ptx_function *f = module->units[u]->functions; f; f = f->next) {
			if (!f->has_body || f->definition)
				continue;
			if (f->is_entry)
				module->entries[entry++] = f->code;
			else
				module->call_targets[f->call_target_index] = f->code;
			if (!lower_function(module, f, error))
				return false;
		}
	}
	return true;
}

/* The references of the module, or those that were added before one failed, are there for kernels. */
static bool references_add(struct engine_module *module, struct load_error *error)
{
	for (size_t u = 0; u < module->unit_count; u++) {
		for (struct ptx_variable *v = module->units[u]->variables; v; v = v->next) {
			if (!v->reference || v->is_extern || v->definition)
				continue;
			if (!texture_reference_add(module->engine->textures, v->address,
						   v->reference == REFERENCE_SURFACE))
				return no_memory(error);
			v->is_bindable = true;
		}
	}
	return true;
}

static void references_remove(struct engine_module *module)
{
	for (size_t u = 0; module->units && u < module->unit_count; u++)
		for (const struct ptx_variable *v = module->units[u]->variables; v; v = v->next)
			if (v->is_bindable)
				texture_reference_remove(module->engine->textures, v->address);
}

static bool module_build(struct engine_module *module, const struct engine_ptx *texts,
			 const struct engine_placement *placements, size_t placement_count, struct load_error *error)
{
	module->units = pool_allocate_array(module->pool, module->unit_count + 1, sizeof(*module->units));
	if (!module->units)
		return no_memory(error);
	size_t count = module->unit_count;

	module->unit_count = 0;
	for (size_t u = 0; u < count; u++) {
		char *text = pool_copy_text(module->pool, texts[u].text, texts[u].bytes);

		module->units[u] = pool_allocate(module->pool, sizeof(*module->units[u]));
		if (!text || !module->units[u])
			return no_memory(error);
		if (!ptx_parse(module->units[u], module->pool, text, texts[u].bytes, error))
			return false;
		module->unit_count++;
	}
	return module_link(module, error) && placements_note(module, placements, placement_count, error) &&
	       variables_place(module, error) && functions_lower(module, error) &&
	       variables_initialise(module, error) && references_add(module, error);
}

enum engine_status engine_module_load_placed(struct engine *engine, const struct engine_ptx *texts, size_t count,
					     const struct engine_placement *placements, size_t placement_count,
					     char *log, size_t log_bytes, struct engine_module **ret_module)
{
	struct load_error error = {.status = ENGINE_OK, .log = log, .log_bytes = log_bytes};
	struct engine_module *module = calloc(1, sizeof(*module));
	size_t limit = POOL_BYTES_BASE;

	if (log_bytes)
		log[0] = '\0';
	if (!module)
		return ENGINE_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; i < count; i++) {
		size_t share;

		if (__builtin_mul_overflow(texts[i].bytes, POOL_BYTES_PER_TEXT_BYTE, &share) ||
		    __builtin_add_overflow(limit, share, &limit))
			limit = SIZE_MAX / 2;
	}
	module->engine = engine;
	module->unit_count = count;
	module->pool = pool_create(limit);
	if (!module->pool || !module_build(module, texts, placements, placement_count, &error)) {
		enum engine_status status = error.status != ENGINE_OK ? error.status : ENGINE_ERROR_OUT_OF_MEMORY;

		engine_module_unload(module);
		return status;
	}
	*ret_module = module;
	return ENGINE_OK;
}

enum engine_status engine_module_load(struct engine *engine, const struct engine_ptx *texts, size_t count, char *log,
				      size_t log_bytes, struct engine_module **ret_module)
{
	return engine_module_load_placed(engine, texts, count, NULL, 0, log, log_bytes, ret_module);
}

void engine_module_unload(struct engine_module *module)
{
	if (!module)
		return;
	references_remove(module);
	if (module->memory)
		module->engine->config.memory.release(module->engine->config.memory.user, module->memory);
	pool_destroy(module->pool);
	free(module);
}

const struct engine_function *engine_module_function_at(const struct engine_module *module, size_t index)
{
	return index < module->entry_count ? module->entries[index] : NULL;
}

const struct engine_function *engine_module_find_function(const struct engine_module *module, const char *name)
{
	for (size_t i = 0; i < module->entry_count; i++)
		if (strcmp(module->entries[i]->info.name, name) == 0)
			return module->entries[i];
	return NULL;
}

enum engine_status engine_module_find_global(const struct engine_module *module, const char *name,
					     uint64_t *ret_address, size_t *ret_bytes)
{
	for (size_t u = 0; u < module->unit_count; u++) {
		for (const struct ptx_variable *v = module->units[u]->variables; v; v = v->next) {
			if (v->is_extern || v->definition || v->space == SPACE_SHARED || v->reference ||
			    strcmp(v->name, name) != 0)
				continue;
			*ret_address = v->address;
			*ret_bytes = v->bytes;
			return ENGINE_OK;
		}
	}
	return ENGINE_ERROR_NOT_FOUND;
}

enum engine_status engine_module_find_reference(const struct engine_module *module, const char *name, bool surface,
						uint64_t *ret_address)
{
	const enum ptx_reference wanted = surface ? REFERENCE_SURFACE : REFERENCE_TEXTURE;

	for (size_t u = 0; u < module->unit_count; u++) {
		for (const struct ptx_variable *v = module->units[u]->variables; v; v = v->next) {
			if (v->is_extern || v->definition || v->reference != wanted || strcmp(v->name, name) != 0)
				continue;
			*ret_address = v->address;
			return ENGINE_OK;
		}
	}
	return ENGINE_ERROR_NOT_FOUND;
}

static const struct ptx_variable *managed_at(const struct engine_module *module, size_t index)
{
	for (size_t u = 0; u < module->unit_count; u++) {
		for (const struct ptx_variable *v = module->units[u]->variables; v; v = v->next) {
			if (v->is_managed && !v->is_extern && !v->definition && v->space == SPACE_GLOBAL &&
			    index-- == 0)
				return v;
		}
	}
	return NULL;
}

bool engine_module_managed_at(const struct engine_module *module, size_t index, struct engine_managed *ret_managed)
{
	const struct ptx_variable *variable = managed_at(module, index);

	if (!variable)
		return false;
	*ret_managed = (struct engine_managed){
		.name = variable->name,
		.address = variable->address,
		.bytes = variable->bytes,
		.alignment = variable->alignment,
	};
	return true;
}

bool engine_module_managed_address_at(const struct engine_module *module, size_t managed, size_t index,
				      struct engine_address *ret_address)
{
	const struct ptx_variable *variable = managed_at(module, managed);

	for (const struct ptx_initialiser *i = variable ? variable->initialisers : NULL; i; i = i->next) {
		if ((!i->variable && !i->function) || index--)
			continue;
		*ret_address = (struct engine_address){
			.offset = i->offset,
			.variable = i->variable ? i->variable->name : NULL,
			.addend = i->bits,
		};
		return true;
	}
	return false;
}

void engine_function_get_info(const struct engine_function *function, struct engine_function_info *ret_info)
{
	*ret_info = function->info;
	ret_info->local_bytes = function->frame_local_bytes;
}
