/* engine/quantize: a checkpoint written anew in other types. */
#ifndef ENGINE_QUANTIZE_H
#define ENGINE_QUANTIZE_H

#include "base/status.h"

/* As documented at llama2_quantize_file() in llama2.h. */
llama2_status quantize_file(const char *in, const char *out, const llama2_quantize_options *options,
                            llama2_quantize_result *result);

#endif
