/* fuzz: what the fuzz targets share. An input is a file, or the parts of one, each of which begins as GGUF files do. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "llama2.h"

/* What libFuzzer calls (LLVM, docs/LibFuzzer); replay.c does as well. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t most, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t most);

/* Writes an input to the temporary folder and returns the path of its first part; and takes it away again. */
const char *fuzz_write(const uint8_t *data, size_t n);
void fuzz_remove(void);

/* Ends the program unless a failure has one line that says what is wrong, in UTF-8, and names the file, if `path` is one.
 */
void fuzz_check_error(llama2_status status, const char *path);

/* Calls `function` and ends the program if it leaves anything allocated, or if at any time more than `most` bytes were. */
void fuzz_within(size_t most, void (*function)(void *context), void *context);

/* Where parts of an input begin: offsets[0..n), the first 0. Returns n, at most 4. */
int fuzz_parts(const uint8_t *data, size_t n, size_t offsets[4]);

/* Damages data[0..n), which may grow to `most` bytes, by what it says as a GGUF file; returns the new length. */
size_t fuzz_mutate_gguf(uint8_t *data, size_t n, size_t most, unsigned int seed);

#endif
