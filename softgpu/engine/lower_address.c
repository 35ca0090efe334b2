/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: of variables, and in operands. */
#include "lower.h"
#include "special.h"

/* Shared variables of the module lie at the same place for all kernels only where functions use them. */
bool lower_shared_place(struct lower *lower, struct ptx_variable *variable)
{
	uint64_t offset;

	if (variable->used_by_device_function || variable->owner == lower->function)
		return true;
	offset = (lower->shared_bytes + variable->alignment - 1) & ~(variable->alignment - 1);
	if (offset + variable->bytes > UINT32_MAX / 2)
		return lower_invalid(lower, "too much shared memory");
	variable->address = offset;
	variable->owner = lower->function;
	lower->shared_bytes = (uint32_t)(offset + variable->bytes);
	return true;
}

bool lower_variable_address(struct lower *lower, struct ptx_variable *variable, struct lower_address *ret_address)
{
	struct lower_address address = {.space = variable->space};

	if (variable->definition)
		variable = variable->definition;
	switch (variable->space) {
	case SPACE_SHARED:
		if (!variable->bytes) {
			if (variable->alignment > lower->code_function->dynamic_shared_alignment)
				lower->code_function->dynamic_shared_alignment = (uint32_t)variable->alignment;
			if (!lower_special(lower, SPECIAL_DYNAMIC_SHARED, &address.base))
				return false;
			break;
		}
		if (!lower_shared_place(lower, variable))
			return false;
		address.immediate = variable->address;
		break;
	case SPACE_PARAM:
		if (variable->is_kernel_parameter) {
			address.is_kernel_parameter = true;
			address.is_constant = true;
			address.immediate = variable->address;
			break;
		}
		address.space = SPACE_LOCAL;
		__attribute__((fallthrough));
	case SPACE_LOCAL:
		if (!lower_special(lower, SPECIAL_LOCAL_FRAME, &address.base))
			return false;
		address.wide = true;
		address.immediate = variable->address;
		break;
	default:
		if (variable->is_extern)
			return load_fail(lower->error, ENGINE_ERROR_UNRESOLVED, lower->statement->line,
					 "variable '%s' is not defined", variable->name);
		address.immediate = variable->address;
		break;
	}
	*ret_address = address;
	return true;
}

bool lower_address(struct lower *lower, const struct ptx_operand *operand, enum ptx_space space,
		   struct lower_address *ret_address)
{
	struct lower_address address = {.space = space};

	if (!operand->is_address || operand->element_count)
		return lower_invalid(lower, "expected an address");
	switch (operand->kind) {
	case OPERAND_REGISTER:
		if (operand->reg->type == PTX_PRED || operand->second)
			return lower_invalid(lower, "a register of the wrong type");
		address.base = operand->reg->offset;
		address.wide = lower_register_wide(operand->reg);
		address.immediate = operand->value;
		/* In a device function every parameter is in the frame's local memory. */
		if (space == SPACE_PARAM) {
			if (lower->function->is_entry)
				address.is_kernel_parameter = true;
			else
				address.space = SPACE_LOCAL;
		}
		break;
	case OPERAND_VARIABLE:
		if (!lower_variable_address(lower, operand->variable, &address))
			return false;
		address.immediate += operand->value;
		if (space == SPACE_GENERIC) {
			if (address.space == SPACE_CONST)
				address.space = SPACE_GLOBAL;
		} else if (space != operand->variable->space) {
			return lower_invalid(lower, "a variable of another space");
		}
		if (address.is_constant && operand->variable->bytes < 0x10000 &&
		    address.immediate >= lower->code_function->info.parameter_bytes)
			return lower_invalid(lower, "an address past the parameters");
		break;
	case OPERAND_INTEGER:
		if (!lower_constant(lower, operand->value, true, &address.base))
			return false;
		address.wide = true;
		if (space == SPACE_PARAM)
			return lower_invalid(lower, "an absolute parameter address");
		break;
	default:
		return lower_invalid(lower, "an unknown kind of address");
	}
	/* Handlers always add a base: absolute addresses add to a zero. */
	if (!address.base && !address.is_constant) {
		if (!lower_constant(lower, 0, true, &address.base))
			return false;
		address.wide = true;
	}
	*ret_address = address;
	return true;
}
