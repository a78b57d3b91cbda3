/* cpu/experts: the feed-forward stages of models in which each row is computed by a few experts of many. */
#ifndef CPU_EXPERTS_H
#define CPU_EXPERTS_H

#include "cpu/cpu.h"

/* Takes what a state needs for them from s->arena; nothing where the model has none. */
void experts_lay_out(cpu_state *s, const config *c);

/* Rows of h, and of activations, that there must be for n_rows rows of x. */
int64_t experts_places(const config *c, int64_t n_rows);

void experts_up(cpu_lane *lane, const step *step, const cpu_layer *layer);
void experts_down(cpu_lane *lane, const step *step, const cpu_layer *layer);

#endif
