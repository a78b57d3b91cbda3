/* cpu/sample: draws a token from logits, as llama2.c's sampler does: temperature, softmax, one random number, and
 * either the whole distribution or its nucleus (Holtzman et al., 2019); and says how likely a token is. Probabilities
 * stay unnormalised: they are compared with shares of their sum. */
#include "base/log.h"
#include "base/random.h"
#include "cpu/cpu.h"

static int32_t draw_any(const float *chances, int32_t n, float r) {
  float sum = 0;
  for (int32_t i = 0; i < n; i++) {
    sum += chances[i];
    if (r < sum) return i;
  }
  return n - 1; /* rounding: the sum fell short of r */
}

/* Whether token a comes before token b: the likelier first, of equals the lower id. */
static bool before(const float *chances, int32_t a, int32_t b) {
  return chances[a] != chances[b] ? chances[a] > chances[b] : a < b;
}

static void sift(int32_t *heap, int64_t n, int64_t at, const float *chances) {
  for (;;) {
    int64_t child = 2 * at + 1;
    if (child >= n) return;
    if (child + 1 < n && before(chances, heap[child + 1], heap[child])) child++;
    if (!before(chances, heap[child], heap[at])) return;
    int32_t moved = heap[at];
    heap[at] = heap[child];
    heap[child] = moved;
    at = child;
  }
}

/* Tokens leave a heap in order of chance until they exceed the share `limit`; one of them is drawn. heap: (n) the ids
 * that may be among them; those that left are moved behind the heap's end. */
static int32_t draw_nucleus(const float *chances, int32_t *heap, int64_t n, float limit, float coin) {
  float sum = 0;
  int64_t left = n;
  for (int64_t i = n / 2; i-- > 0;) sift(heap, n, i, chances);
  while (left > 0) {
    int32_t token = heap[0];
    heap[0] = heap[--left];
    sift(heap, left, 0, chances);
    heap[left] = token;
    sum += chances[token];
    if (sum > limit) break;
  }
  float r = coin * sum, at = 0;
  for (int64_t i = n; i-- > left;) {
    at += chances[heap[i]];
    if (r < at) return heap[i];
  }
  return heap[left];
}

/* Logits of a slot, and the greatest of them. Errors: NUMERIC. */
static llama2_status finite_logits(const cpu_state *s, int32_t slot, const float **logits, float *most) {
  bool finite;
  *logits = s->logits + slot * s->sizes.ld_vocab;
  *most = s->weights->kernels->greatest(*logits, s->weights->config.vocab_size, &finite);
  if (finite) return LLAMA2_OK;
  if (s->limits.kv == LLAMA2_F32)
    return status_fail(LLAMA2_ERR_NUMERIC, "the logits are not finite numbers: the checkpoint's weights are damaged");
  return status_fail(
      LLAMA2_ERR_NUMERIC,
      "the logits are not finite numbers: the checkpoint's weights are damaged, or keys and values exceed "
      "what %s can hold; ask for kv f32",
      s->limits.kv == LLAMA2_F16 ? "float16" : "q8_0");
}

/* The `most` greatest of n logits, in order; returns how many there are. The rest of `top` is not touched. */
static int32_t find_top(const float *logits, int32_t n, int32_t most, llama2_top *top) {
  int32_t count = 0;
  if (most == 0) return 0;
  for (int32_t i = 0; i < n; i++) {
    if (count == most && !(logits[i] > top[count - 1].logprob)) continue;
    int32_t at = count < most ? count++ : count - 1;
    for (; at > 0 && top[at - 1].logprob < logits[i]; at--) top[at] = top[at - 1];
    top[at] = (llama2_top){i, logits[i]};
  }
  return count;
}

llama2_status cpu_logprobs(void *state, int32_t slot, int32_t token, double *logprob, int32_t most_top, llama2_top *top,
                           int32_t *n_top) {
  cpu_state *s = state;
  int32_t n = s->weights->config.vocab_size;
  const float *logits;
  float most;
  RETURN_IF_FAILED(finite_logits(s, slot, &logits, &most));
  s->weights->kernels->exp_sum(s->chances, logits, n, most, 1.0f);
  double sums[LANES] = {0}; /* in float64: of a large vocabulary's float32 sum the last digits would be noise */
  const float *chances = s->chances;
  int32_t whole = n - n % LANES;
  for (int32_t first = 0; first < whole; first += LANES)
    for (int i = 0; i < LANES; i++) sums[i] += chances[first + i];
  for (int32_t i = whole; i < n; i++) sums[i - whole] += chances[i];
  for (int step = LANES / 2; step; step /= 2)
    for (int i = 0; i < step; i++) sums[i] += sums[i + step];
  double total = (double)most + f64_log(sums[0]);
  *logprob = (double)logits[token] - total;
  *n_top = find_top(logits, n, most_top, top);
  for (int32_t i = 0; i < *n_top; i++) top[i].logprob -= total;
  return LLAMA2_OK;
}

llama2_status cpu_sample(void *state, int32_t slot, llama2_sampling *sampling, int32_t *token) {
  cpu_state *s = state;
  const kernels *k = s->weights->kernels;
  int32_t n = s->weights->config.vocab_size;
  const float *logits;
  float most;
  RETURN_IF_FAILED(finite_logits(s, slot, &logits, &most));
  if (sampling->temperature == 0) {
    int32_t i = 0;
    while (logits[i] != most) i++;
    *token = i;
    return LLAMA2_OK;
  }
  float scale = sampling->temperature > 1e-30f ? 1.0f / sampling->temperature : 1e30f; /* finite */
  float sum = k->exp_sum(s->chances, logits, n, most, scale);
  float coin = random_unit(&sampling->rng);
  if (sampling->top_p <= 0 || sampling->top_p >= 1) {
    *token = draw_any(s->chances, n, coin * sum);
  } else {
    /* What is less likely than this cannot be in the nucleus: all such together fall short of 1 - top_p. */
    float least = n > 1 ? (1.0f - sampling->top_p) / (float)(n - 1) * sum : 0;
    if (least > 1) least = 1; /* the likeliest token's chance, which always may */
    int64_t n_nucleus = k->at_least(s->nucleus, s->chances, n, least);
    *token = draw_nucleus(s->chances, s->nucleus, n_nucleus, sampling->top_p * sum, coin);
  }
  return LLAMA2_OK;
}
