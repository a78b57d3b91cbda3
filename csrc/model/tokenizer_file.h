/* model/tokenizer_file: tokenizers from any file that holds one. */
#ifndef MODEL_TOKENIZER_FILE_H
#define MODEL_TOKENIZER_FILE_H

#include "format/source.h"
#include "text/tokenizer.h"

/* Each is documented at its llama2_tokenizer_… in llama2.h. */
llama2_status tokenizer_file_load(const char *path, int32_t vocab_size, llama2_tokenizer **tokenizer);
llama2_status tokenizer_file_of(const llama2_source *source, int32_t vocab_size, llama2_tokenizer **tokenizer);
llama2_status tokenizer_file_find(const char *checkpoint, int32_t vocab_size, char *path, size_t capacity);

/* Refuses a file that is a llama2.c checkpoint, to the last byte. */
llama2_status tokenizer_file_check(const char *path);

#endif
