/* model/to_gguf: what a GGUF file says of a checkpoint of any format: its keys, and its tokenizer. */
#ifndef MODEL_TO_GGUF_H
#define MODEL_TO_GGUF_H

#include "format/gguf_write.h"
#include "model/checkpoint.h"

/* Puts all keys but the file type; what a GGUF file says is taken over as it lies there. path: the checkpoint's.
 * tokenizer: NULL, or a tokenizer.bin or GGUF file to put in, where the checkpoint has none of its own.
 * Errors: IO, FORMAT, TOKENIZER, MEMORY. */
llama2_status to_gguf_keys(gguf_head *h, const checkpoint *c, const char *path, const char *tokenizer);

#endif
