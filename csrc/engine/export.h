/* engine/export: a checkpoint of any format written anew as one of llama2.c's. */
#ifndef ENGINE_EXPORT_H
#define ENGINE_EXPORT_H

#include "base/status.h"

/* As documented at llama2_quantize_file() in llama2.h, where options->llama2c is not negative. source: NULL, or what is
 * read instead of the file `in`, which is its name then. */
llama2_status export_llama2c(const char *in, const llama2_source *source, const char *out,
                             const llama2_quantize_options *options, llama2_quantize_result *result);

#endif
