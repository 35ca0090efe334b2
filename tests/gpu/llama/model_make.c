// SPDX-License-Identifier: Apache-2.0
/*
 * model_make FILE 1b|8b|tiny: a model in GGUF with the shape of Llama 3.2 1B or Llama 3 8B (tiny: for a try without a
 * GPU) and weights made by a generator of numbers. What it says means nothing, but a GPU has the same to do for it.
 */
#include <ggml.h>
#include <gguf.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shape {
	const char *name;
	uint32_t embedding, layers, heads, heads_kv, forward, vocabulary;
};
static const struct shape shapes[] = {
	{"tiny", 256, 2, 8, 4, 512, 1000},
	{"1b", 2048, 16, 32, 8, 8192, 128256},
	{"8b", 4096, 32, 32, 8, 14336, 128256},
};

/* Rows that repeat, from another one in each tensor: quantising billions of weights would take minutes. */
enum { ROWS = 61 };

static uint64_t state = 0x9e3779b97f4a7c15u;
static float weight_next(void)
{
	float sum = 0;
	for (int i = 0; i < 4; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		sum += (float)(state >> 40) / 16777216.0f - 0.5f;
	}
	return sum;
}

static int tensor_write(FILE *file, const struct ggml_tensor *tensor, unsigned first)
{
	int64_t row = tensor->ne[0];
	size_t row_bytes = ggml_row_size(tensor->type, row), written = 0;
	float *weights = malloc(sizeof(float) * (size_t)row * ROWS);
	char *rows = malloc(row_bytes * ROWS);
	int result = -1;

	if (!weights || !rows)
		goto end;
	/* Norms scale by one; a matrix leaves its input about as large as it was. */
	for (int64_t i = 0; i < row * ROWS; i++)
		weights[i] =
			tensor->ne[1] == 1 ? 1.0f + 0.1f * weight_next() : weight_next() * 1.7f / sqrtf((float)row);
	if (tensor->type == GGML_TYPE_F32)
		memcpy(rows, weights, row_bytes * ROWS);
	else
		ggml_quantize_chunk(tensor->type, weights, rows, 0, ROWS, row, NULL);
	for (int64_t i = 0; i < tensor->ne[1]; i++) {
		if (fwrite(rows + ((size_t)i + first) % ROWS * row_bytes, row_bytes, 1, file) != 1)
			goto end;
		written += row_bytes;
	}
	for (; written % GGUF_DEFAULT_ALIGNMENT; written++)
		if (fputc(0, file) == EOF)
			goto end;
	result = 0;
end:
	free(rows);
	free(weights);
	return result;
}

static struct ggml_context *tensors;
static struct gguf_context *gguf;

static void tensor_add(const char *name, int layer, enum ggml_type type, uint32_t row, uint32_t rows)
{
	struct ggml_tensor *tensor =
		rows == 1 ? ggml_new_tensor_1d(tensors, type, row) : ggml_new_tensor_2d(tensors, type, row, rows);
	if (layer < 0)
		ggml_format_name(tensor, "%s.weight", name);
	else
		ggml_format_name(tensor, "blk.%d.%s.weight", layer, name);
	gguf_add_tensor(gguf, tensor);
}

static void model_describe(const struct shape *s)
{
	uint32_t head = s->embedding / s->heads;

	gguf_set_val_str(gguf, "general.architecture", "llama");
	gguf_set_val_str(gguf, "general.name", s->name);
	gguf_set_val_u32(gguf, "llama.vocab_size", s->vocabulary);
	gguf_set_val_u32(gguf, "llama.context_length", 8192);
	gguf_set_val_u32(gguf, "llama.embedding_length", s->embedding);
	gguf_set_val_u32(gguf, "llama.block_count", s->layers);
	gguf_set_val_u32(gguf, "llama.feed_forward_length", s->forward);
	gguf_set_val_u32(gguf, "llama.rope.dimension_count", head);
	gguf_set_val_f32(gguf, "llama.rope.freq_base", 500000.0f);
	gguf_set_val_u32(gguf, "llama.attention.head_count", s->heads);
	gguf_set_val_u32(gguf, "llama.attention.head_count_kv", s->heads_kv);
	gguf_set_val_f32(gguf, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	gguf_set_val_str(gguf, "tokenizer.ggml.model", "no_vocab");

	/* The types that most models of Ollama's library come in (Q4_K_M). */
	tensor_add("token_embd", -1, GGML_TYPE_Q4_K, s->embedding, s->vocabulary);
	tensor_add("output_norm", -1, GGML_TYPE_F32, s->embedding, 1);
	tensor_add("output", -1, GGML_TYPE_Q6_K, s->embedding, s->vocabulary);
	for (int layer = 0; layer < (int)s->layers; layer++) {
		tensor_add("attn_norm", layer, GGML_TYPE_F32, s->embedding, 1);
		tensor_add("attn_q", layer, GGML_TYPE_Q4_K, s->embedding, head * s->heads);
		tensor_add("attn_k", layer, GGML_TYPE_Q4_K, s->embedding, head * s->heads_kv);
		tensor_add("attn_v", layer, GGML_TYPE_Q6_K, s->embedding, head * s->heads_kv);
		tensor_add("attn_output", layer, GGML_TYPE_Q4_K, head * s->heads, s->embedding);
		tensor_add("ffn_norm", layer, GGML_TYPE_F32, s->embedding, 1);
		tensor_add("ffn_gate", layer, GGML_TYPE_Q4_K, s->embedding, s->forward);
		tensor_add("ffn_up", layer, GGML_TYPE_Q4_K, s->embedding, s->forward);
		tensor_add("ffn_down", layer, GGML_TYPE_Q6_K, s->forward, s->embedding);
	}
}

int main(int argc, char **argv)
{
	struct ggml_init_params params = {.mem_size = 16 << 20, .no_alloc = true};
	const struct shape *shape = NULL;
	unsigned first = 0;
	FILE *file = NULL;
	int status = 1;

	for (size_t i = 0; argc == 3 && i < sizeof(shapes) / sizeof(*shapes); i++)
		if (!strcmp(argv[2], shapes[i].name))
			shape = &shapes[i];
	if (!shape) {
		fprintf(stderr, "usage: model_make FILE 1b|8b|tiny\n");
		return 2;
	}
	tensors = ggml_init(params);
	gguf = gguf_init_empty();
	model_describe(shape);
	if (!gguf_write_to_file(gguf, argv[1], true))
		goto end;
	file = fopen(argv[1], "ab");
	if (!file)
		goto end;
	for (struct ggml_tensor *tensor = ggml_get_first_tensor(tensors); tensor;
	     tensor = ggml_get_next_tensor(tensors, tensor))
		if (tensor_write(file, tensor, first += 7))
			goto end;
	status = 0;
end:
	if ((file && fclose(file)) || status) {
		perror(argv[1]);
		status = 1;
	}
	gguf_free(gguf);
	ggml_free(tensors);
	return status;
}
