// The innermost loops of a product: sums that stay in registers.
#include <array>
#include <utility>

#include "gemm.h"

namespace {

// Put a tile whose last columns are not wanted, line by line of `width` entries, where it belongs.
__attribute__((noinline)) void store(const float* tile, int rows, int width, const Target& c) {
  for (int i = 0; i < rows; ++i, tile += width) {
    float* out = c.row[i] + c.j;
    for (int64_t j = 0; j < c.columns; ++j) {
      out[j] = tile[j] + (c.add ? out[j] : 0) + (c.bias ? c.bias[c.j + j] : 0);
    }
  }
}

template <int R, int V, bool Deep>
void tile(int64_t depth, const float* a, const float* b, const Target& c) {
  Vector sum[R][V] = {};
  for (int i = 0; i < R; ++i) {  // C comes from afar: ask for it before the work begins
    for (int v = 0; v < V; ++v) __builtin_prefetch(c.row[i] + c.j + v * WIDTH, 1);
  }
  for (int64_t p = 0; p < depth; ++p, b += COLUMNS) {
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
  store(narrow, R, V * WIDTH, c);
}

template <bool Deep, std::size_t... I>
constexpr std::array<Tile, 2 * ROWS> tiles(std::index_sequence<I...>) {
  return {tile<I / 2 + 1, I % 2 + 1, Deep>...};
}

}  // namespace

Tile tile_for(bool deep, int64_t r, int64_t v) {
  constexpr auto sizes = std::make_index_sequence<2 * ROWS>();
  static constexpr auto flat = tiles<false>(sizes), tall = tiles<true>(sizes);
  return (deep ? tall : flat)[2 * (r - 1) + v - 1];
}
