// SPDX-License-Identifier: Apache-2.0
/*
 * llama_run MODEL [TOKENS]: loads the model onto the GPU, reads prompts and goes on from one token by token (the
 * likeliest each time), alone and in eight conversations at once, and puts a conversation aside and takes it up again.
 * "result" lines are the same on each machine with such a GPU; "time" lines are seconds, medians; "late" lines the 99th
 * percentile.
 */
#include <ggml-backend.h>
#include <llama.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROMPT = 512, CONVERSATIONS = 8, TOKENS_MOST = 1024, ROUNDS = 10 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int doubles_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void times_print(const char *name, double *times, int count)
{
	qsort(times, (size_t)count, sizeof(*times), doubles_compare);
	printf("time %s %.6f\n", name, times[count / 2]);
	printf("late %s %.6f\n", name, times[count * 99 / 100]);
}

static void check(int fine, const char *what)
{
	if (!fine) {
		fprintf(stderr, "%s failed\n", what);
		exit(1);
	}
}

static uint64_t hash;
static void hash_add(const void *data, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ ((const uint8_t *)data)[i]) * 0x100000001b3u;
}

static struct llama_context *context;
static int vocabulary;

/* The likeliest next token of output i of the last batch, whose logits go into the hash. */
static llama_token next_take(int i)
{
	const float *logits = llama_get_logits_ith(context, i);
	int best = 0;

	check(logits != NULL, "llama_get_logits_ith");
	for (int token = 1; token < vocabulary; token++)
		if (logits[token] > logits[best])
			best = token;
	hash_add(logits, sizeof(*logits) * (size_t)vocabulary);
	return best;
}

static void token_add(struct llama_batch *batch, llama_token token, int position, int conversation, bool output)
{
	int i = batch->n_tokens++;
	batch->token[i] = token;
	batch->pos[i] = position;
	batch->n_seq_id[i] = 1;
	batch->seq_id[i][0] = conversation;
	batch->logits[i] = output;
}

static llama_token prompt_read(struct llama_batch *batch, int conversation, int length)
{
	batch->n_tokens = 0;
	for (int i = 0; i < length; i++)
		token_add(batch, (i * 7919 + conversation * 104729) % vocabulary, i, conversation, i == length - 1);
	check(!llama_decode(context, *batch), "llama_decode of a prompt");
	return next_take(length - 1);
}

static void prompts_time(struct llama_batch *batch)
{
	double times[ROUNDS];

	hash = 0;
	for (int round = -2; round < ROUNDS; round++) {
		double started = now();
		llama_memory_clear(llama_get_memory(context), true);
		prompt_read(batch, 0, PROMPT);
		if (round >= 0)
			times[round] = now() - started;
	}
	printf("result prompts %016llx\n", (unsigned long long)hash);
	times_print("prompt_512", times, ROUNDS);
}

static void tokens_time(struct llama_batch *batch, int conversations, int count)
{
	llama_token next[CONVERSATIONS];
	double times[TOKENS_MOST];
	char name[32];

	hash = 0;
	llama_memory_clear(llama_get_memory(context), true);
	for (int i = 0; i < conversations; i++)
		next[i] = prompt_read(batch, i, 64 + i);
	for (int step = 0; step < count; step++) {
		double started = now();
		batch->n_tokens = 0;
		for (int i = 0; i < conversations; i++)
			token_add(batch, next[i], 64 + i + step, i, true);
		check(!llama_decode(context, *batch), "llama_decode");
		llama_synchronize(context);
		times[step] = now() - started;
		for (int i = 0; i < conversations; i++)
			next[i] = next_take(i);
	}
	printf("result tokens of %d %016llx\n", conversations, (unsigned long long)hash);
	snprintf(name, sizeof(name), "token_of_%d", conversations);
	times_print(name, times + count / 8, count - count / 8);
}

/* What was read goes to the program's memory and back, and the answer is the same. */
static void conversation_put_aside(struct llama_batch *batch)
{
	llama_token first, second;
	size_t bytes;
	uint8_t *state;

	llama_memory_clear(llama_get_memory(context), true);
	first = prompt_read(batch, 0, PROMPT);
	bytes = llama_state_seq_get_size(context, 0);
	state = malloc(bytes);
	check(state && llama_state_seq_get_data(context, state, bytes, 0) == bytes, "llama_state_seq_get_data");
	for (int turn = 0; turn < 2; turn++) {
		hash = 0;
		if (turn) {
			llama_memory_clear(llama_get_memory(context), true);
			check(llama_state_seq_set_data(context, state, bytes, 0) == bytes, "llama_state_seq_set_data");
		}
		batch->n_tokens = 0;
		token_add(batch, first, PROMPT, 0, true);
		check(!llama_decode(context, *batch), "llama_decode");
		if (!turn)
			second = next_take(0);
		else
			check(next_take(0) == second, "the conversation taken up again");
		printf("result conversation %016llx\n", (unsigned long long)hash);
	}
	free(state);
}

static void log_quietly(enum ggml_log_level level, const char *text, void *unused)
{
	(void)unused;
	if (level == GGML_LOG_LEVEL_WARN || level == GGML_LOG_LEVEL_ERROR)
		fputs(text, stderr);
}

int main(int argc, char **argv)
{
	struct llama_model_params model_params = llama_model_default_params();
	struct llama_context_params params = llama_context_default_params();
	int tokens = argc > 2 ? atoi(argv[2]) : 256;
	struct llama_model *model;
	struct llama_batch batch;
	double started = now();

	if (argc < 2 || tokens < 16 || tokens > TOKENS_MOST) {
		fprintf(stderr, "usage: llama_run MODEL [TOKENS]\n");
		return 2;
	}
	llama_log_set(log_quietly, NULL);
	llama_backend_init();
	for (size_t i = 0; i < ggml_backend_dev_count(); i++)
		printf("device %s\n", ggml_backend_dev_description(ggml_backend_dev_get(i)));
	model_params.n_gpu_layers = 99;
	model = llama_model_load_from_file(argv[1], model_params);
	check(model != NULL, "llama_model_load_from_file");
	printf("time load %.6f\n", now() - started);
	vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
	params.n_ctx = CONVERSATIONS * 1280;
	params.n_batch = params.n_ubatch = PROMPT;
	params.n_seq_max = CONVERSATIONS;
	context = llama_init_from_model(model, params);
	check(context != NULL, "llama_init_from_model");
	batch = llama_batch_init(PROMPT, 0, 1);

	prompts_time(&batch);
	tokens_time(&batch, 1, tokens);
	tokens_time(&batch, CONVERSATIONS, tokens);
	conversation_put_aside(&batch);

	/* In this tree llama_free() resets CUDA's backend after it was freed; Ollama's runner ends without it too. */
	fflush(stdout);
	_exit(0);
}
