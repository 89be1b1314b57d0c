// Dense layers: x (m, i), w (i, o), b (o), y = x·w + b, and their gradients from g (m, o).
#include "kernel.h"
#include "operands.h"

namespace {

// Where row i of a matrix begins.
auto rows(float* data, int64_t stride) {
  return [=](int64_t i) { return data + i * stride; };
}

}  // namespace

// x, w[, b] → y. Sizes: m, i, o, whether there is a bias.
KERNEL(dense) {
  const int64_t m = call.n[0], i = call.n[1], o = call.n[2];
  const float* bias = call.n[3] ? call.in(2) : nullptr;
  multiply(m, o, i, Left{call.in(0), i}, Right{call.in(1), o}, rows(call.out(0), o), bias);
}

// g, w → g·wᵀ. Sizes: m, i, o.
KERNEL(dense_x) {
  const int64_t m = call.n[0], i = call.n[1], o = call.n[2];
  multiply(m, i, o, Left{call.in(0), o}, RightTransposed{call.in(1), o}, rows(call.out(0), i));
}

// x, g → xᵀ·g. Sizes: m, i, o.
KERNEL(dense_w) {
  const int64_t m = call.n[0], i = call.n[1], o = call.n[2];
  multiply(i, o, m, LeftTransposed{call.in(0), i}, Right{call.in(1), o}, rows(call.out(0), o));
}

// g → Σ over its rows. Sizes: m, o.
KERNEL(column_sums) {
  const int64_t m = call.n[0], o = call.n[1];
  constexpr int64_t strip = 4 * WIDTH;
  const float* g = call.in(0);
  float* sums = call.out(0);
  parallel(ceil_div(o, strip), [&](int64_t task) {
    const Range j{task * strip, std::min(o, (task + 1) * strip)};
    std::fill(sums + j.begin, sums + j.end, 0.0f);
    for (int64_t r = 0; r < m; ++r) {
      for (int64_t c = j.begin; c < j.end; ++c) sums[c] += g[r * o + c];
    }
  });
}
