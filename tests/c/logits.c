/* logits: what another build of the library computes. `logits FILE QUANTIZE KV TOKEN...` writes the logits after each token
 * to stdout, as rows of float32, and the instruction set to stderr. QUANTIZE and KV are numbers of a llama2_dtype; the
 * instruction set is as LLAMA2_ISA has it. */
#include "check.h"

#include "llama2.h"

static void check_status(llama2_status status) {
  CHECK_THAT(status == LLAMA2_OK, "%s", llama2_last_error()->message);
}

int main(int argc, char **argv) {
  CHECK(argc > 4);
  llama2_model_options options = llama2_model_defaults();
  llama2_session_options session_options = llama2_session_defaults();
  llama2_model *model;
  llama2_session *session;
  options.quantize = atoi(argv[2]);
  session_options.kv = atoi(argv[3]);
  check_status(llama2_model_load(argv[1], &options, NULL, &model));
  check_status(llama2_session_new(model, &session_options, &session));

  llama2_model_info info = llama2_model_describe(model);
  int32_t n = argc - 4, *tokens = aligned((size_t)n * sizeof *tokens);
  size_t n_logits = (size_t)n * (size_t)info.vocab_size;
  float *logits = aligned(n_logits * sizeof *logits);
  for (int32_t i = 0; i < n; i++) tokens[i] = atoi(argv[4 + i]);
  check_status(llama2_session_eval(session, tokens, n, logits));
  fprintf(stderr, "%s\n", info.isa);
  CHECK(fwrite(logits, sizeof *logits, n_logits, stdout) == n_logits && fflush(stdout) == 0);

  free(logits);
  free(tokens);
  llama2_session_free(session);
  llama2_model_free(model);
  return EXIT_SUCCESS;
}
