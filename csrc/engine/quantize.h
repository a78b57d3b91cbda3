/* engine/quantize: a checkpoint written anew in other types. */
#ifndef ENGINE_QUANTIZE_H
#define ENGINE_QUANTIZE_H

#include "base/status.h"

/* As documented at llama2_quantize_file() in llama2.h. source: NULL, or what is read instead of the file `in`, which is
 * its name then. */
llama2_status quantize_checkpoint(const char *in, const llama2_source *source, const char *out,
                                  const llama2_quantize_options *options, llama2_quantize_result *result);

#endif
