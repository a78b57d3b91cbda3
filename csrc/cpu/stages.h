/* cpu/stages: what the stages share among their files. */
#ifndef CPU_STAGES_H
#define CPU_STAGES_H

#include "cpu/cpu.h"

/* Rows of x, normalised if `norm`, on their way into the forms that products read. */
typedef struct prepare_job {
  const cpu_state *state;
  const float *x; /* (…, ld) */
  int64_t ld;
  const float *norm;     /* NULL: as it is */
  int64_t n;             /* values of a row that are not padding */
  const int32_t *index;  /* NULL, or which row of x is row i */
  int64_t n_rows;        /* where all workers share them */
  bool floats, integers; /* which forms are read */
  act out;
} prepare_job;

/* Sets which forms products with the n_matrices read. */
void prepare_forms(prepare_job *j, const matrix *const *matrices, int n_matrices);

/* Row `from` of x, as row `to` of j->out. */
void prepare_row(const worker *w, const prepare_job *j, int64_t from, int64_t to);

/* How n_rows rows of ld values lie in the room that `room` has. */
act act_of_rows(const cpu_state *s, act room, int64_t n_rows, int64_t ld);

/* Panels [panel, panel + n_panels) of m by rows [row, row + n_rows) of x; see kernels. */
void multiply(const worker *w, const cpu_state *s, const matrix *m, int64_t panel, int64_t n_panels, const act *x,
              int64_t row, int64_t n_rows, float *out, int64_t ld_out, bool add);

/* Panels of a bite: few enough for the threads to end together, in fours since the kernels take four at a time. */
int64_t bite_panels(const worker *w, int64_t n_panels);

/* h = silu(W1 x) * (W3 x) for all n_rows rows and panels [panel, panel + n_panels) of both, at most those of a bite; h is
 * the address for the first. adapted: NULL, or what is added to the two products of the step's rows. */
void up_panels(worker *w, cpu_state *s, const cpu_layer *layer, const cpu_adapted *adapted, int64_t panel,
               int64_t n_panels, const act *x, int64_t n_rows, float *h);

#endif
