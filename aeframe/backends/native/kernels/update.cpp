// Updates of parameters by optimizers: one pass over memory, in place.
#include <cmath>

#include "gemm.h"
#include "kernel.h"

namespace {

constexpr int64_t CHUNK = 1 << 14;

// Do `body(i)` for each entry of an array.
template <class Body>
void each(int64_t size, Body&& body) {
  parallel(ceil_div(size, CHUNK), [&](int64_t task) {
    const int64_t end = std::min(size, (task + 1) * CHUNK);
#pragma GCC ivdep
    for (int64_t i = task * CHUNK; i < end; ++i) body(i);
  });
}

}  // namespace

// p, g, rate → p'. Sizes: entries.
KERNEL(sgd) {
  const float *p = call.in(0), *g = call.in(1), rate = *call.in(2);
  float* moved = call.out(0);
  each(call.n[0], [=](int64_t i) { moved[i] = p[i] - rate * g[i]; });
}

// p, g, rate, velocity → p', velocity'. Sizes: entries. Reals: momentum.
KERNEL(sgd_momentum) {
  const float *p = call.in(0), *g = call.in(1), rate = *call.in(2), *old = call.in(3);
  float *moved = call.out(0), *velocity = call.out(1);
  const float momentum = call.h[0];
  each(call.n[0], [=](int64_t i) {
    const float next = momentum * old[i] - rate * g[i];
    velocity[i] = next;
    moved[i] = p[i] + next;
  });
}

// p, g, m, v, step, rate → p', m', v'. Sizes: entries. Reals: β₁, β₂, ε.
KERNEL(adam) {
  const float *p = call.in(0), *g = call.in(1), *m = call.in(2), *v = call.in(3);
  const double t = *call.in<int64_t>(4), rate = *call.in(5);
  const double root = std::sqrt(1 - std::pow(call.h[1], t));
  const float size = rate * root / (1 - std::pow(call.h[0], t)), epsilon = call.h[2] * root;
  const float keep_m = call.h[0], take_m = 1 - call.h[0];
  const float keep_v = call.h[1], take_v = 1 - call.h[1];
  float *moved = call.out(0), *mean = call.out(1), *square = call.out(2);
  each(call.n[0], [=](int64_t i) {
    const float next_m = keep_m * m[i] + take_m * g[i];
    const float next_v = keep_v * v[i] + take_v * g[i] * g[i];
    const float step = size * next_m / (std::sqrt(next_v) + epsilon);
    mean[i] = next_m;
    square[i] = next_v;
    moved[i] = p[i] - step;
  });
}
