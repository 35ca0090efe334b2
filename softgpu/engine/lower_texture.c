/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tex, tld4, txq, suld, sust, sured, suq in the unified mode: a register holds
 * the handle, or a reference (.texref, .surfref) is named, whose address is one.
 * Offsets, depth comparison and multisampled textures are not there.
 */
#include "lower.h"
#include "texture.h"

static struct texture_site *site_create(struct lower *lower)
{
	struct texture_site *site = pool_allocate(lower->pool, sizeof(*site));

	if (!site)
		lower_no_memory(lower);
	return site;
}

/* .1d to .acube; false: none of them. */
static bool geometry_take(struct lower *lower, struct texture_site *site)
{
	static const struct {
		const char *name;
		enum engine_shape shape;
		bool layered;
		uint8_t dimensions;
	} geometries[] = {
		{"1d", ENGINE_SHAPE_1D, false, 1},     {"2d", ENGINE_SHAPE_2D, false, 2},
		{"3d", ENGINE_SHAPE_3D, false, 3},     {"a1d", ENGINE_SHAPE_1D, true, 1},
		{"a2d", ENGINE_SHAPE_2D, true, 2},     {"cube", ENGINE_SHAPE_CUBE, false, 3},
		{"acube", ENGINE_SHAPE_CUBE, true, 3},
	};

	for (size_t i = 0; i < sizeof(geometries) / sizeof(*geometries); i++) {
		if (!lower_take(lower, geometries[i].name))
			continue;
		site->shape = geometries[i].shape;
		site->layered = geometries[i].layered;
		site->dimensions = geometries[i].dimensions;
		return true;
	}
	return false;
}

static bool reference_read(struct lower *lower, const struct ptx_operand *operand, struct texture_site *site)
{
	struct lower_address address;

	if (operand->variable->reference == REFERENCE_NONE || operand->value)
		return lower_invalid(lower, "expected a texture or a surface");
	lower->code_function->info.names_references = true;
	return lower_variable_address(lower, operand->variable, &address) &&
	       lower_constant(lower, address.immediate, true, &site->handle);
}

/* The handle in "[a, {...}]": a register of 64 bits, or a reference's name. */
static bool handle_read(struct lower *lower, const struct ptx_operand *operand, struct texture_site *site)
{
	if (operand->is_address && operand->kind == OPERAND_VARIABLE)
		return reference_read(lower, operand, site);
	if (!operand->is_address || operand->kind != OPERAND_REGISTER || operand->value || operand->second)
		return lower_unsupported(lower);
	if (operand->reg->type == PTX_PRED || !lower_register_wide(operand->reg))
		return lower_invalid(lower, "a register of the wrong type");
	site->handle = operand->reg->offset;
	return true;
}

/* Handle and coordinates: the layer first, padding to a power of two behind. */
static bool place_read(struct lower *lower, const struct ptx_operand *operand, enum ptx_type type,
		       struct texture_site *site)
{
	uint32_t next = 0, wanted = site->dimensions + (site->layered ? 1 : 0);

	if (!handle_read(lower, operand, site))
		return false;
	if (operand->element_count < wanted || operand->element_count > 4)
		return lower_invalid(lower, "a wrong number of coordinates");
	if (site->layered && !lower_source(lower, &operand->elements[next++], PTX_U32, &site->layer))
		return false;
	for (unsigned i = 0; i < site->dimensions; i++)
		if (!lower_source(lower, &operand->elements[next++], type, &site->at[i]))
			return false;
	return true;
}

static bool gradient_read(struct lower *lower, const struct ptx_operand *operand, unsigned dimensions,
			  uint32_t *ret_offsets)
{
	if (operand->kind != OPERAND_VECTOR)
		return dimensions == 1 ? lower_source(lower, operand, PTX_F32, ret_offsets)
				       : lower_invalid(lower, "expected a vector");
	if (operand->element_count < dimensions)
		return lower_invalid(lower, "a wrong number of coordinates");
	for (unsigned i = 0; i < dimensions; i++)
		if (!lower_source(lower, &operand->elements[i], PTX_F32, &ret_offsets[i]))
			return false;
	return true;
}

/* Registers of results or of what is stored. */
static bool data_read(struct lower *lower, const struct ptx_operand *operand, bool destination, enum ptx_type type,
		      struct texture_site *site)
{
	const struct ptx_operand *elements = operand->kind == OPERAND_VECTOR ? operand->elements : operand;
	uint32_t count = operand->kind == OPERAND_VECTOR ? operand->element_count : 1;

	if (count != site->data_count)
		return lower_invalid(lower, "a wrong number of elements");
	site->data_wide = lower_type_wide(type);
	for (uint32_t i = 0; i < count; i++)
		if (destination ? !lower_destination(lower, &elements[i], site->data_wide, &site->data[i])
				: !lower_source(lower, &elements[i], type, &site->data[i]))
			return false;
	if (operand->second) {
		if (operand->second->type != PTX_PRED || !destination)
			return lower_invalid(lower, "expected a predicate");
		site->resident = operand->second->offset;
	}
	return true;
}

static bool site_emit(struct lower *lower, exec_handler run, const struct texture_site *site, bool surface)
{
	struct instruction *ins = lower_emit(lower, run);

	if (!ins)
		return false;
	ins->extra = site;
	ins->flags = surface;
	return true;
}

static bool lower_tex(struct lower *lower)
{
	struct texture_site *site = site_create(lower);
	enum ptx_type result, coordinate;
	uint32_t operands = 2;

	if (!site)
		return false;
	site->mode = lower_take(lower, "level")	 ? TEXTURE_LEVEL
		     : lower_take(lower, "grad") ? TEXTURE_GRADIENT
						 : TEXTURE_BASE;
	lower_take(lower, "base");
	if (!geometry_take(lower, site) || !lower_take(lower, "v4"))
		return lower_unsupported(lower);
	result = lower_take_type(lower);
	coordinate = lower_take_type(lower);
	if ((result != PTX_F32 && result != PTX_S32 && result != PTX_U32) ||
	    (coordinate != PTX_F32 && coordinate != PTX_S32))
		return lower_unsupported(lower);
	operands += site->mode == TEXTURE_LEVEL ? 1 : site->mode == TEXTURE_GRADIENT ? 2 : 0;
	if (lower->statement->operand_count > operands)
		return lower_unsupported(lower);
	site->data_count = 4;
	if (!lower_operand_count(lower, operands, operands) ||
	    !data_read(lower, lower_operand(lower, 0), true, result, site) ||
	    !place_read(lower, lower_operand(lower, 1), coordinate, site))
		return false;
	site->level_is_float = coordinate == PTX_F32;
	if (site->mode == TEXTURE_LEVEL && !lower_source(lower, lower_operand(lower, 2), coordinate, &site->level))
		return false;
	if (site->mode == TEXTURE_GRADIENT &&
	    (coordinate != PTX_F32 || !gradient_read(lower, lower_operand(lower, 2), site->dimensions, site->dx) ||
	     !gradient_read(lower, lower_operand(lower, 3), site->dimensions, site->dy)))
		return lower_invalid(lower, "bad gradients");
	if (coordinate == PTX_S32) {
		if (site->shape == ENGINE_SHAPE_CUBE)
			return lower_invalid(lower, "integer coordinates of a cube");
		site->mode = TEXTURE_FETCH;
	}
	return site_emit(lower, texture_sample, site, false);
}

static bool lower_tld4(struct lower *lower)
{
	static const char *const components[] = {"r", "g", "b", "a"};
	struct texture_site *site = site_create(lower);
	enum ptx_type result;

	if (!site)
		return false;
	site->mode = TEXTURE_GATHER;
	while (site->component < 4 && !lower_take(lower, components[site->component]))
		site->component++;
	if (site->component == 4 || !geometry_take(lower, site) ||
	    (site->shape != ENGINE_SHAPE_2D && site->shape != ENGINE_SHAPE_CUBE) || !lower_take(lower, "v4"))
		return lower_unsupported(lower);
	result = lower_take_type(lower);
	if ((result != PTX_F32 && result != PTX_S32 && result != PTX_U32) || lower_take_type(lower) != PTX_F32 ||
	    lower->statement->operand_count > 2)
		return lower_unsupported(lower);
	site->data_count = 4;
	return lower_operand_count(lower, 2, 2) && data_read(lower, lower_operand(lower, 0), true, result, site) &&
	       place_read(lower, lower_operand(lower, 1), PTX_F32, site) &&
	       site_emit(lower, texture_sample, site, false);
}

static bool lower_query(struct lower *lower, bool surface)
{
	static const char *const queries[] = {"width", "height", "depth", "array_size", "num_mipmap_levels"};
	struct texture_site *site = site_create(lower);
	bool level;

	if (!site)
		return false;
	level = lower_take(lower, "level");
	while (site->query < 5 && !lower_take(lower, queries[site->query]))
		site->query++;
	if (site->query == 5 || lower_take_type(lower) != PTX_B32 ||
	    (surface && (level || site->query == QUERY_LEVELS)))
		return lower_unsupported(lower);
	site->data_count = 1;
	if (!lower_operand_count(lower, level ? 3 : 2, level ? 3 : 2) ||
	    !data_read(lower, lower_operand(lower, 0), true, PTX_B32, site) ||
	    !handle_read(lower, lower_operand(lower, 1), site))
		return false;
	if (level && !lower_source(lower, lower_operand(lower, 2), PTX_B32, &site->level))
		return false;
	return site_emit(lower, texture_query, site, surface);
}

static bool lower_txq(struct lower *lower)
{
	return lower_query(lower, false);
}

static bool lower_suq(struct lower *lower)
{
	return lower_query(lower, true);
}

static bool boundary_take(struct lower *lower, struct texture_site *site)
{
	static const char *const names[] = {"trap", "clamp", "zero"};

	for (unsigned i = 0; i < 3; i++) {
		if (lower_take(lower, names[i])) {
			site->boundary = i;
			return true;
		}
	}
	return false;
}

/* What loads, stores and reductions by bytes have in common. */
static bool surface_begin(struct lower *lower, struct texture_site *site)
{
	if (!lower_take(lower, "b"))
		return false;
	if (!geometry_take(lower, site) || site->shape == ENGINE_SHAPE_CUBE)
		return false;
	site->data_count = lower_take(lower, "v4") ? 4 : lower_take(lower, "v2") ? 2 : 1;
	site->type = lower_take_type(lower);
	site->bytes = ptx_type_bytes(site->type);
	return boundary_take(lower, site) && site->bytes && site->bytes * site->data_count <= 16;
}

static bool lower_suld(struct lower *lower)
{
	struct texture_site *site = site_create(lower);

	if (!site)
		return false;
	lower_take_memory_hints(lower);
	if (!surface_begin(lower, site))
		return lower_unsupported(lower);
	return lower_operand_count(lower, 2, 2) && data_read(lower, lower_operand(lower, 0), true, site->type, site) &&
	       place_read(lower, lower_operand(lower, 1), PTX_S32, site) && site_emit(lower, surface_load, site, true);
}

static bool lower_sust(struct lower *lower)
{
	struct texture_site *site = site_create(lower);

	if (!site)
		return false;
	lower_take_memory_hints(lower);
	if (!surface_begin(lower, site))
		return lower_unsupported(lower);
	return lower_operand_count(lower, 2, 2) && place_read(lower, lower_operand(lower, 0), PTX_S32, site) &&
	       data_read(lower, lower_operand(lower, 1), false, site->type, site) &&
	       site_emit(lower, surface_store, site, true);
}

static bool lower_sured(struct lower *lower)
{
	static const char *const operations[] = {"add", "min", "max", "and", "or"};
	struct texture_site *site = site_create(lower);

	if (!site)
		return false;
	while (site->operation < 5 && !lower_take(lower, operations[site->operation]))
		site->operation++;
	if (site->operation == 5 || !surface_begin(lower, site) || site->data_count != 1 ||
	    (site->bytes != 4 && site->bytes != 8) || site->type == PTX_F32 || site->type == PTX_F64)
		return lower_unsupported(lower);
	return lower_operand_count(lower, 2, 2) && place_read(lower, lower_operand(lower, 0), PTX_S32, site) &&
	       data_read(lower, lower_operand(lower, 1), false, site->type, site) &&
	       site_emit(lower, surface_reduce, site, false);
}

const struct lower_entry lower_texture_opcodes[] = {
	{"tex", lower_tex, false},     {"tld4", lower_tld4, false}, {"txq", lower_txq, false},
	{"suld", lower_suld, false},   {"sust", lower_sust, false}, {"suq", lower_suq, false},
	{"sured", lower_sured, false}, {NULL, NULL, false},
};
