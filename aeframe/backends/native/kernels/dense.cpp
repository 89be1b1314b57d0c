// Dense layers: x (m, i), w (i, o), b (o), y = x·w + b, and their gradients from g (m, o).
#include "kernel.h"
#include "operands.h"

namespace {

// Where row i of a matrix begins.
auto rows(float* data, int64_t stride) {
  return [=](int64_t i) { return data + i * stride; };
}

}  // namespace

void column_sums(int64_t m, int64_t o, const float* g, float* sums) {
  constexpr int64_t strip = 4 * WIDTH;
  parallel(ceil_div(o, strip), [&](int64_t task) {
    const Range j{task * strip, std::min(o, (task + 1) * strip)};
    std::fill(sums + j.begin, sums + j.end, 0.0f);
    for (int64_t r = 0; r < m; ++r) {
      for (int64_t c = j.begin; c < j.end; ++c) sums[c] += g[r * o + c];
    }
  });
}

// x, w[, b][, addend] → y. Sizes: m, i, o, then those of the epilogue.
KERNEL(dense) {
  const int64_t m = call.n[0], i = call.n[1], o = call.n[2];
  multiply(m, o, i, Left{call.in(0), i}, Right{call.in(1), o}, rows(call.out(0), o),
           epilogue(call, call.n + 3));
}

// x, w, g → g·wᵀ, xᵀ·g, Σ rows of g, as far as they are wanted. Sizes: m, i, o, then which output
// each of the three is, or -1.
KERNEL(dense_gradient) {
  const int64_t m = call.n[0], i = call.n[1], o = call.n[2];
  const float *x = call.in(0), *w = call.in(1), *g = call.in(2);
  if (float* dx = call.wanted(3)) {
    multiply(m, i, o, Left{g, o}, RightTransposed{w, o}, rows(dx, i));
  }
  if (float* dw = call.wanted(4)) {
    multiply(i, o, m, LeftTransposed{x, i}, Right{g, o}, rows(dw, o));
  }
  if (float* db = call.wanted(5)) column_sums(m, o, g, db);
}
