// The innermost loops of a product: sums that stay in registers.
#include <array>
#include <utility>

#include "gemm.h"

namespace {

// Put a tile whose last columns are not wanted, line by line of `width` entries, where it belongs.
__attribute__((noinline)) void put(const float* tile, int rows, int width, const Target& c) {
  for (int i = 0; i < rows; ++i, tile += width) {
    float* out = c.row[i] + c.j;
    for (int64_t j = 0; j < c.columns; ++j) {
      out[j] = tile[j] + (c.add ? out[j] : 0) + (c.bias ? c.bias[c.j + j] : 0);
    }
  }
}

template <int R, int V, bool Deep>
void tile(int64_t depth, const float* a, const Panel& panel, const Target& c) {
  const auto [data, line, next, step] = panel;
  const float* b = data;
  Vector sum[R][V] = {};
  for (int i = 0; i < R; ++i) {  // C comes from afar: ask for it before the work begins
    for (int v = 0; v < V; ++v) __builtin_prefetch(c.row[i] + c.j + v * WIDTH, 1);
  }
  for (int64_t p = 0; p < depth; ++p, b += line) {
    __builtin_prefetch(next + p * step, 0, 2);
    // and into the first cache what is needed 16 lines later
    for (int v = 0; v < V * WIDTH; v += 16) __builtin_prefetch(b + 16 * line + v);
    Vector right[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) right[v] = vector_at(b + v * WIDTH);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const float left = Deep ? a[p * R + i] : a[i * LINE + p];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[i][v] += left * right[v];
    }
  }
  if (c.columns == V * WIDTH) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        Vector& out = vector_at(c.row[i] + c.j + v * WIDTH);
        if (c.add) sum[i][v] += out;
        if (c.bias) sum[i][v] += vector_at(c.bias + c.j + v * WIDTH);
        out = sum[i][v];
      }
    }
    return;
  }
  float narrow[R * V * WIDTH];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) vector_at(narrow + (i * V + v) * WIDTH) = sum[i][v];
  }
  put(narrow, R, V * WIDTH, c);
}

template <bool Deep, std::size_t... I>
constexpr std::array<Tile, 2 * ROWS> tiles(std::index_sequence<I...>) {
  return {tile<I / 2 + 1, I % 2 + 1, Deep>...};
}

// max(x, 0); NaN stays.
inline Vector relu(Vector x) { return x < 0.0f ? Vector{} : x; }

// x (1 + erf(x / √2)) / 2, with erf z = z P(z²) / Q(z²) where |z| < 4 (the coefficients are those
// of Eigen and XLA) and ±1 beyond.
inline Vector gelu(Vector x) {
  Vector z = x * 0.70710678118f;
  z = z < -4.0f ? Vector{} - 4.0f : z;
  z = z > 4.0f ? Vector{} + 4.0f : z;
  const Vector s = z * z;
  Vector p = s * -2.72614225801306e-10f + 2.77068142495902e-08f;
  p = p * s - 2.10102402082508e-06f;
  p = p * s - 5.69250639462346e-05f;
  p = p * s - 7.34990630326855e-04f;
  p = p * s - 2.95459980854025e-03f;
  p = p * s - 1.60960333262415e-02f;
  Vector q = s * -1.45660718464996e-05f - 2.13374055278905e-04f;
  q = q * s - 1.68282697438203e-03f;
  q = q * s - 7.37332916720468e-03f;
  q = q * s - 1.42647390514189e-02f;
  return 0.5f * x * (1.0f + z * p / q);
}

// `f(y + addend)` on rows of y.
template <class F>
void apply(float* const* row, int64_t rows, int64_t j, int64_t columns, const Epilogue& last,
           F&& f) {
  for (int64_t i = 0; i < rows; ++i) {
    float* y = row[i] + j;
    const float* addend = last.addend ? last.addend + (y - last.y) : nullptr;
    for (int64_t c = 0; c < columns; c += WIDTH) {
      const int64_t size = std::min<int64_t>(WIDTH, columns - c);
      Vector value = load(y + c, size);
      if (addend) value += load(addend + c, size);
      store(y + c, f(value), size);
    }
  }
}

}  // namespace

void finish(float* const* row, int64_t rows, int64_t j, int64_t columns, const Epilogue& last) {
  switch (last.activation) {
    case Epilogue::NONE:
      return apply(row, rows, j, columns, last, [](Vector x) { return x; });
    case Epilogue::RELU:
      return apply(row, rows, j, columns, last, relu);
    case Epilogue::GELU:
      return apply(row, rows, j, columns, last, gelu);
  }
}

Tile tile_for(bool deep, int64_t r, int64_t v) {
  constexpr auto sizes = std::make_index_sequence<2 * ROWS>();
  static constexpr auto flat = tiles<false>(sizes), tall = tiles<true>(sizes);
  return (deep ? tall : flat)[2 * (r - 1) + v - 1];
}
