/* format/gguf_file: what the two files of the GGUF reader share. */
#ifndef FORMAT_GGUF_FILE_H
#define FORMAT_GGUF_FILE_H

#include "format/gguf.h"

/* Of a type below GGUF_TYPE_COUNT. */
const char *gguf_type_name(int32_t type);
uint64_t gguf_type_bytes(int32_t type);

/* The order of tables: by bytes, a beginning before what it begins. */
int gguf_compare(gguf_text a, gguf_text b);

#endif
