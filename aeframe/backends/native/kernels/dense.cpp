// Dense layers: x (m, i), w (i, o), b (o), y = x·w + b, and their gradients from g (m, o).
#include <array>
#include <utility>

#include "kernel.h"
#include "operands.h"

namespace {

// Where row i of a matrix begins.
auto rows(float* data, int64_t stride) {
  return [=](int64_t i) { return data + i * stride; };
}

// With few rows the weight is read at the speed of memory, as long as it is read as it lies: a few
// whole lines at a time, added to sums that stay in the cache.
constexpr int64_t FEW = 8, LINES = 8;
constexpr int64_t PIECE = 1 << 18, MOST_PIECES = 16, STRIP = 1 << 12;  // floats, pieces, columns

// Sums (R, o) of rows p of the weight, columns j.
template <int R>
void stream(Range p, Range j, int64_t k, int64_t o, const float* x, const float* w, float* sums) {
  const int64_t whole = j.begin + j.size() / WIDTH * WIDTH;
  for (int r = 0; r < R; ++r) std::fill(sums + r * o + j.begin, sums + r * o + j.end, 0.0f);
  for (int64_t first = p.begin; first < p.end; first += LINES) {
    const int64_t end = std::min(p.end, first + LINES);
    for (int64_t c = j.begin; c < whole; c += WIDTH) {
      Vector sum[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sum[r] = vector_at(sums + r * o + c);
      for (int64_t q = first; q < end; ++q) {
        const Vector here = vector_at(w + q * o + c);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) sum[r] += x[r * k + q] * here;
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) vector_at(sums + r * o + c) = sum[r];
    }
    for (int64_t q = first; q < end; ++q) {
      for (int r = 0; r < R; ++r) {
        for (int64_t c = whole; c < j.end; ++c) sums[r * o + c] += x[r * k + q] * w[q * o + c];
      }
    }
  }
}

using Stream = void (*)(Range, Range, int64_t, int64_t, const float*, const float*, float*);

template <std::size_t... R>
constexpr std::array<Stream, FEW> streams(std::index_sequence<R...>) {
  return {stream<R + 1>...};
}

// y (m, o) for m ≤ FEW, in pieces of the depth whose number does not depend on the team.
void multiply_few(int64_t m, int64_t k, int64_t o, const float* x, const float* w,
                  const Epilogue& last, float* y) {
  static constexpr auto some = streams(std::make_index_sequence<FEW>());
  const int64_t pieces = std::clamp<int64_t>(k * o / PIECE, 1, MOST_PIECES);
  const int64_t strips = ceil_div(o, STRIP);
  const Buffer sums(pieces * m * o);
  parallel(pieces * strips, [&](int64_t task) {
    const int64_t piece = task / strips;
    some[m - 1](piece_of(k, pieces, LINES, piece), piece_of(o, strips, WIDTH, task % strips), k, o,
                x, w, sums.get() + piece * m * o);
  });
  for (int64_t r = 0; r < m; ++r) {
    float* row = y + r * o;
    for (int64_t c = 0; c < o; ++c) row[c] = last.bias ? last.bias[c] : 0.0f;
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const float* from = sums.get() + (piece * m + r) * o;
      for (int64_t c = 0; c < o; ++c) row[c] += from[c];
    }
    if (last.more()) finish(&row, 1, 0, o, last);
  }
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
  const Epilogue last = epilogue(call, call.n + 3);
  if (m <= FEW) return multiply_few(m, i, o, call.in(0), call.in(1), last, call.out(0));
  multiply(m, o, i, Left{call.in(0), i}, Right{call.in(1), o}, rows(call.out(0), o), last);
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
