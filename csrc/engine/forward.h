/* engine/forward: the transformer. */
#ifndef ENGINE_FORWARD_H
#define ENGINE_FORWARD_H

#include "model/backend.h"

/* Computes a step: the rows' keys and values go into their pages, and the logits that are wanted into their slots. */
void forward(const backend *b, void *lane, const step *s);

#endif
