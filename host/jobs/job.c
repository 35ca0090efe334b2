/* SPDX-License-Identifier: Apache-2.0 */
#include "job.h"

#include <stdlib.h>
#include <string.h>

#include "buffers.h"

#define BLOCK_THREADS 256u
#define TILE_THREADS  16u

struct job {
	struct gpu *gpu;
	const json_t *request;
	struct buffers buffers;
	struct failure failure;
	size_t output_count; /* of the arguments so far */
};

/* NULL with the failure set, or the result. */
typedef json_t *operation_run(struct job *job);

static bool kernel_run(struct job *job, CUfunction function, const unsigned grid[3], const unsigned block[3],
		       void **arguments)
{
	CUresult result = job->gpu->launch(function, grid[0], grid[1], grid[2], block[0], block[1], block[2], 0, NULL,
					   arguments, NULL);

	if (!result)
		result = job->gpu->synchronize();
	return !result || failure_set(&job->failure, "the kernel failed: %s", gpu_error_name(job->gpu, result));
}

static bool built_in_run(struct job *job, const char *name, const unsigned grid[3], const unsigned block[3],
			 void **arguments)
{
	CUfunction function;
	CUresult result = job->gpu->module_function(&function, job->gpu->kernels, name);

	if (result)
		return failure_set(&job->failure, "%s: %s", name, gpu_error_name(job->gpu, result));
	return kernel_run(job, function, grid, block, arguments);
}

struct pair {
	CUdeviceptr a, b, result;
	unsigned count;
};

/* array_a and array_b of one length, and room for a result of that length. */
static bool pair_take(struct job *job, struct pair *ret_pair)
{
	const json_t *a = json_object_get(job->request, "array_a");
	const json_t *b = json_object_get(job->request, "array_b");

	if (!buffer_fill(&job->buffers, a, NUMBER_F64, "array_a", &ret_pair->a, &job->failure) ||
	    !buffer_fill(&job->buffers, b, NUMBER_F64, "array_b", &ret_pair->b, &job->failure))
		return false;
	ret_pair->count = (unsigned)json_array_size(a);
	if (json_array_size(b) != ret_pair->count)
		return failure_set(&job->failure, "array_a has %u elements, array_b %zu", ret_pair->count,
				   json_array_size(b));
	return buffer_make(&job->buffers, ret_pair->count, NUMBER_F64, &ret_pair->result, &job->failure);
}

static bool pair_run(struct job *job, const char *kernel, struct pair *pair, double *scalar)
{
	void *arguments[] = {scalar, &pair->a, &pair->b, &pair->result, &pair->count};
	const unsigned grid[3] = {(pair->count + BLOCK_THREADS - 1) / BLOCK_THREADS, 1, 1};
	const unsigned block[3] = {BLOCK_THREADS, 1, 1};

	return built_in_run(job, kernel, grid, block, scalar ? arguments : arguments + 1);
}

static json_t *vector_add_run(struct job *job)
{
	struct pair pair;

	if (!pair_take(job, &pair) || !pair_run(job, "vector_add", &pair, NULL))
		return NULL;
	return buffer_read(&job->buffers, pair.result, pair.count, NUMBER_F64, true, &job->failure);
}

static json_t *saxpy_run(struct job *job)
{
	const json_t *given = json_object_get(job->request, "scalar");
	double scalar = json_number_value(given);
	struct pair pair;

	if (!json_is_number(given)) {
		failure_set(&job->failure, "scalar is no number");
		return NULL;
	}
	if (!pair_take(job, &pair) || !pair_run(job, "saxpy", &pair, &scalar))
		return NULL;
	return buffer_read(&job->buffers, pair.result, pair.count, NUMBER_F64, true, &job->failure);
}

static json_t *reduction_run(struct job *job, CUdeviceptr from, unsigned count, unsigned how)
{
	const unsigned one[3] = {1, 1, 1};
	const unsigned block[3] = {BLOCK_THREADS, 1, 1};
	CUdeviceptr result;
	json_t *list, *number;

	if (!buffer_make(&job->buffers, 1, NUMBER_F64, &result, &job->failure) ||
	    !built_in_run(job, "reduce", one, block, (void *[]){&from, &result, &count, &how}))
		return NULL;
	list = buffer_read(&job->buffers, result, 1, NUMBER_F64, true, &job->failure);
	number = json_incref(json_array_get(list, 0));
	json_decref(list);
	return number;
}

static json_t *dot_run(struct job *job)
{
	struct pair pair;

	if (!pair_take(job, &pair) || !pair_run(job, "multiply", &pair, NULL))
		return NULL;
	return reduction_run(job, pair.result, pair.count, 0);
}

static json_t *reduce_run(struct job *job)
{
	static const char *const names[] = {"sum", "min", "max"};
	const json_t *a = json_object_get(job->request, "array_a");
	const json_t *given = json_object_get(job->request, "reduction");
	const char *name = given ? json_string_value(given) : "sum";
	CUdeviceptr from;

	for (unsigned how = 0; how < sizeof(names) / sizeof(names[0]); how++) {
		if (!name || strcmp(name, names[how]) != 0)
			continue;
		if (!buffer_fill(&job->buffers, a, NUMBER_F64, "array_a", &from, &job->failure))
			return NULL;
		return reduction_run(job, from, (unsigned)json_array_size(a), how);
	}
	failure_set(&job->failure, "reduction is none of sum, min, max");
	return NULL;
}

/* A list of rows of one length, one after the other. A new reference, or NULL with the failure set. */
static json_t *rows_join(struct job *job, const char *name, unsigned *ret_rows, unsigned *ret_columns)
{
	const json_t *rows = json_object_get(job->request, name);
	size_t columns = json_array_size(json_array_get(rows, 0));
	json_t *joined = json_array();
	const json_t *row;
	size_t index;

	json_array_foreach(rows, index, row)
	{
		const json_t *number;
		size_t at;

		if (!json_is_array(row) || json_array_size(row) != columns) {
			failure_set(&job->failure, "%s has rows of different length", name);
			break;
		}
		json_array_foreach(row, at, number) json_array_append(joined, (json_t *)(uintptr_t)number);
	}
	if (json_array_size(joined) == 0 || json_array_size(joined) > JOB_ELEMENTS_MAX)
		failure_set(&job->failure, "%s is no list of rows with 1 to %u numbers in all", name, JOB_ELEMENTS_MAX);
	if (job->failure.text[0]) {
		json_decref(joined);
		return NULL;
	}
	*ret_rows = (unsigned)json_array_size(rows);
	*ret_columns = (unsigned)columns;
	return joined;
}

static json_t *rows_split(const json_t *list, unsigned rows, unsigned columns)
{
	json_t *split = json_array();

	for (unsigned row = 0; row < rows; row++) {
		json_t *one = json_array();

		for (unsigned column = 0; column < columns; column++)
			json_array_append(one, json_array_get(list, (size_t)row * columns + column));
		json_array_append_new(split, one);
	}
	return split;
}

static json_t *matmul_run(struct job *job)
{
	unsigned rows = 0, inner = 0, inner_b = 0, columns = 0;
	json_t *a = rows_join(job, "matrix_a", &rows, &inner);
	json_t *b = a ? rows_join(job, "matrix_b", &inner_b, &columns) : NULL;
	const unsigned block[3] = {TILE_THREADS, TILE_THREADS, 1};
	unsigned grid[3] = {(columns + TILE_THREADS - 1) / TILE_THREADS, (rows + TILE_THREADS - 1) / TILE_THREADS, 1};
	CUdeviceptr device_a, device_b, device_result;
	json_t *list = NULL, *result = NULL;

	if (b && inner != inner_b)
		failure_set(&job->failure, "matrix_a has %u columns, matrix_b %u rows", inner, inner_b);
	else if (b && grid[1] > 65535)
		failure_set(&job->failure, "matrix_a has too many rows");
	else if (b && buffer_fill(&job->buffers, a, NUMBER_F64, "matrix_a", &device_a, &job->failure) &&
		 buffer_fill(&job->buffers, b, NUMBER_F64, "matrix_b", &device_b, &job->failure) &&
		 buffer_make(&job->buffers, (size_t)rows * columns, NUMBER_F64, &device_result, &job->failure) &&
		 built_in_run(job, "matmul", grid, block,
			      (void *[]){&device_a, &device_b, &device_result, &rows, &inner, &columns}))
		list = buffer_read(&job->buffers, device_result, (size_t)rows * columns, NUMBER_F64, true,
				   &job->failure);
	if (list)
		result = rows_split(list, rows, columns);
	json_decref(list);
	json_decref(b);
	json_decref(a);
	return result;
}

/* One to three whole numbers; what is not given is 1. */
static bool shape_take(struct job *job, const char *name, unsigned ret_shape[3])
{
	const json_t *list = json_object_get(job->request, name);
	const json_t *number;
	size_t index;

	ret_shape[0] = ret_shape[1] = ret_shape[2] = 1;
	if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > 3)
		return failure_set(&job->failure, "%s is no list of one to three numbers", name);
	json_array_foreach(list, index, number)
	{
		if (!number_write(number, NUMBER_U32, &ret_shape[index], name, &job->failure))
			return false;
	}
	return true;
}

struct argument {
	uint64_t value; /* a scalar, or a device address */
	enum number_type type;
	size_t output_count; /* 0: not read back */
};

static bool argument_take(struct job *job, const json_t *given, struct argument *ret_argument)
{
	const json_t *value = json_object_get(given, "value");
	const json_t *values = json_object_get(given, "values");
	const json_t *count = json_object_get(given, "count");
	size_t elements = values ? json_array_size(values) : (size_t)json_integer_value(count);
	CUdeviceptr address = 0;

	*ret_argument = (struct argument){0};
	if (!number_type_find(json_string_value(json_object_get(given, "type")), &ret_argument->type))
		return failure_set(&job->failure, "an argument's type is none of f32, f64, i32, u32, i64, u64");
	if ((value != NULL) + (values != NULL) + (count != NULL) != 1)
		return failure_set(&job->failure, "an argument has one of value, values and count");
	if (value)
		return number_write(value, ret_argument->type, &ret_argument->value, "an argument", &job->failure);
	if (values && !buffer_fill(&job->buffers, values, ret_argument->type, "an argument", &address, &job->failure))
		return false;
	if (count && (json_integer_value(count) < 0 ||
		      !buffer_make(&job->buffers, elements, ret_argument->type, &address, &job->failure)))
		return failure_set(&job->failure, "an argument's count is none");
	ret_argument->value = address;
	if (json_is_true(json_object_get(given, "output")))
		ret_argument->output_count = elements;
	job->output_count += ret_argument->output_count;
	/* Each number of an answer costs the host far more than its bytes on the GPU. */
	return job->output_count <= JOB_ELEMENTS_MAX ||
	       failure_set(&job->failure, "the outputs have more than %u elements together", JOB_ELEMENTS_MAX);
}

static json_t *outputs_read(struct job *job, const struct argument *arguments, size_t count)
{
	json_t *results = json_array();

	for (size_t i = 0; i < count; i++) {
		if (arguments[i].output_count &&
		    json_array_append_new(results,
					  buffer_read(&job->buffers, arguments[i].value, arguments[i].output_count,
						      arguments[i].type, false, &job->failure)) < 0) {
			json_decref(results);
			return NULL;
		}
	}
	return results;
}

static json_t *ptx_run(struct job *job)
{
	const char *ptx = json_string_value(json_object_get(job->request, "ptx"));
	const char *kernel = json_string_value(json_object_get(job->request, "kernel"));
	const json_t *given = json_object_get(job->request, "arguments");
	struct argument arguments[JOB_ARGUMENTS_MAX];
	void *pointers[JOB_ARGUMENTS_MAX];
	size_t count = json_array_size(given);
	unsigned grid[3], block[3];
	json_t *results = NULL;
	CUmodule module = NULL;
	CUfunction function;
	CUresult result;

	if (!ptx || !kernel || (given && !json_is_array(given)) || count > JOB_ARGUMENTS_MAX) {
		failure_set(&job->failure, "ptx and kernel are texts, arguments a list of at most %d",
			    JOB_ARGUMENTS_MAX);
		return NULL;
	}
	if (!shape_take(job, "grid", grid) || !shape_take(job, "block", block))
		return NULL;
	for (size_t i = 0; i < count; i++) {
		if (!argument_take(job, json_array_get(given, i), &arguments[i]))
			return NULL;
		pointers[i] = &arguments[i].value;
	}
	result = job->gpu->module_load(&module, ptx);
	if (result) {
		failure_set(&job->failure, "the PTX is refused: %s", gpu_error_name(job->gpu, result));
		return NULL;
	}
	result = job->gpu->module_function(&function, module, kernel);
	if (result)
		failure_set(&job->failure, "kernel \"%.64s\": %s", kernel, gpu_error_name(job->gpu, result));
	else if (kernel_run(job, function, grid, block, pointers))
		results = outputs_read(job, arguments, count);
	job->gpu->module_unload(module);
	return results;
}

static const struct {
	const char *name;
	operation_run *run;
} operations[] = {
	{"vector_add", vector_add_run}, {"saxpy", saxpy_run},	{"dot", dot_run},
	{"reduce", reduce_run},		{"matmul", matmul_run}, {"ptx", ptx_run},
};

static json_t *job_run(struct job *job)
{
	const char *name = json_string_value(json_object_get(job->request, "operation"));

	if (!name) {
		failure_set(&job->failure, "operation is missing or no text");
		return NULL;
	}
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		if (strcmp(name, operations[i].name) == 0)
			return operations[i].run(job);
	}
	failure_set(&job->failure, "there is no operation \"%.64s\"", name);
	return NULL;
}

char *job_answer(struct gpu *gpu, const char *request, size_t bytes)
{
	struct job job = {.gpu = gpu, .buffers = {.gpu = gpu}};
	json_t *answer = json_object();
	json_t *parsed = NULL, *result = NULL, *identity;
	json_error_t error;
	char *text;

	if (bytes > JOB_BYTES_MAX)
		failure_set(&job.failure, "a request of more than %u bytes", JOB_BYTES_MAX);
	else if (!(parsed = json_loadb(request, bytes, JSON_REJECT_DUPLICATES, &error)))
		failure_set(&job.failure, "no JSON: %s", error.text);
	else if (!json_is_object(parsed))
		failure_set(&job.failure, "the request is no JSON object");
	else {
		job.request = parsed;
		result = job_run(&job);
		buffers_release(&job.buffers);
	}
	identity = json_object_get(parsed, "id");
	if (json_is_string(identity) || json_is_integer(identity))
		json_object_set(answer, "id", identity);
	if (result) {
		json_object_set_new(answer, "result", result);
	} else {
		failure_set(&job.failure, "out of memory");
		/* A name in it may have been cut in the middle of a character. */
		if (json_object_set_new(answer, "error", json_string(job.failure.text)) < 0)
			json_object_set_new(answer, "error", json_string("the request is refused"));
	}
	text = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	json_decref(parsed);
	return text;
}
