/* model/to_llama2c: how a llama2.c checkpoint says a model that came from any format, if it can. */
#ifndef MODEL_TO_LLAMA2C_H
#define MODEL_TO_LLAMA2C_H

#include "model/checkpoint.h"

#define LLAMA2C_EPS 1e-5f /* that llama2.c's programs normalise with, whatever a model was trained with */

/* Fills f as the file of `version` that holds the model: its shape, and where its tensors go; *bytes: of all of it. Refused:
 * what llama2.c's programs would compute another model from (another rotary base or scaling, biases, ...), by name, but not
 * another epsilon. path: the checkpoint's. Errors: ARGUMENT (the version), FORMAT. */
llama2_status to_llama2c(const checkpoint *c, const char *path, int32_t version, llama2c_file *f, uint64_t *bytes);

#endif
