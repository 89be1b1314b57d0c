// Operands of products that lie in memory as matrices.
#pragma once

#include <cstring>

#include "gemm.h"
#include "kernel.h"

// Copy `size` floats: in whole vectors, a bit too many, where they can be read before `end`.
inline void copy(float* to, const float* from, int64_t size, const float* end) {
  if (from + ceil_div(size, WIDTH) * WIDTH > end) {
    for (int64_t v = 0; v < size; ++v) to[v] = from[v];
  } else {
    for (int64_t v = 0; v < size; v += WIDTH) vector_at(to + v) = vector_at(from + v);
  }
}

// Copy `depth` x `columns` entries, (p, j) at j·stride + p, to lines of a panel.
inline void transpose(float* to, const float* from, int64_t stride, int64_t depth,
                      int64_t columns) {
  constexpr int64_t side = 16;  // a square at a time, so that both sides stay in the cache
  if (columns < COLUMNS) std::fill(to, to + depth * COLUMNS, 0.0f);
  for (int64_t p = 0; p < depth; p += side) {
    const int64_t end = std::min(depth, p + side);
    for (int64_t j = 0; j < columns; ++j) {
      for (int64_t q = p; q < end; ++q) to[q * COLUMNS + j] = from[j * stride + q];
    }
  }
}

// Left operand: entry (i, p) at i·stride + p.
struct Left {
  static constexpr bool deep = false;
  const float* data;
  int64_t stride;

  void pack(float* to, Range i, Range p, int64_t) const {
    for (int64_t m = i.begin; m < i.end; ++m, to += LINE) {
      std::memcpy(to, data + m * stride + p.begin, p.size() * sizeof(float));
    }
  }
};

// Left operand, transposed: entry (i, p) at p·stride + i.
struct LeftTransposed {
  static constexpr bool deep = true;
  const float* data;
  int64_t stride;

  // The last sliver may have fewer rows.
  void pack(float* to, Range i, Range p, int64_t r) const {
    const float* last = data + (p.end - 1) * stride + i.end;
    for (int64_t m = i.begin; m < i.end; m += r) {
      const int64_t rows = std::min(r, i.end - m);
      float* sliver = to + (m - i.begin) * p.size();
      const float* from = data + p.begin * stride + m;
      for (int64_t q = 0; q < p.size(); ++q, from += stride, sliver += rows) {
        copy(sliver, from, rows, last);
      }
    }
  }
};

// Right operand: entry (p, j) at p·stride + j.
struct Right {
  const float* data;
  int64_t stride;

  void panel(float* to, Range j, Range p) const { strip(to, j, p); }

  // Row by row, for a row is read at the speed of memory as long as it is read as it lies.
  void strip(float* to, Range j, Range p) const {
    const int64_t whole = j.size() / COLUMNS * COLUMNS, rest = j.size() - whole;
    const float* from = data + p.begin * stride + j.begin;
    for (int64_t q = 0; q < p.size(); ++q, from += stride) {
      __builtin_prefetch(from + 2 * stride);
      float* line = to + q * COLUMNS;
      int64_t c = 0;
      for (; c < whole; c += COLUMNS, line += COLUMNS * p.size()) {
        for (int v = 0; v < COLUMNS; v += WIDTH) vector_at(line + v) = vector_at(from + c + v);
      }
      if (rest) {
        std::memcpy(line, from + c, rest * sizeof(float));
        std::fill(line + rest, line + COLUMNS, 0.0f);
      }
    }
  }
};

// Right operand, copied once for all: (⌈n / PANEL⌉, k, PANEL), zeros after the last column.
struct Panelled {
  static constexpr int64_t line = PANEL;
  const float* data;
  int64_t k;

  const float* at(int64_t j, Range p) const {
    return data + j / PANEL * PANEL * k + p.begin * PANEL + j % PANEL;
  }
};

// Right operand, transposed: entry (p, j) at j·stride + p.
struct RightTransposed {
  const float* data;
  int64_t stride;

  void panel(float* to, Range j, Range p) const {
    transpose(to, data + j.begin * stride + p.begin, stride, p.size(), j.size());
  }
};

// Where a bias and an addend, if there are any, come third and fourth. Sizes, from n: whether there
// is a bias, whether there is an addend, the activation.
inline Epilogue epilogue(const Call& call, const int64_t* n) {
  const int addend = n[0] ? 3 : 2;
  return {n[0] ? call.in(2) : nullptr, n[1] ? call.in(addend) : nullptr, call.out(0),
          static_cast<Epilogue::Activation>(n[2])};
}

// The sums of the columns of g (m, o).
void column_sums(int64_t m, int64_t o, const float* g, float* sums);
