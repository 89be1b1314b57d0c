// Operands of products that lie in memory as matrices.
#pragma once

#include <cstring>

#include "gemm.h"

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

  // The last sliver may have fewer rows, and is as wide as it is high.
  void pack(float* to, Range i, Range p, int64_t r) const {
    for (int64_t m = i.begin; m < i.end; m += r) {
      const int64_t rows = std::min(r, i.end - m);
      float* sliver = to + (m - i.begin) * p.size();
      const float* from = data + p.begin * stride + m;
      for (int64_t q = 0; q < p.size(); ++q, from += stride, sliver += rows) {
        for (int64_t v = 0; v < rows; ++v) sliver[v] = from[v];
      }
    }
  }
};

// Right operand: entry (p, j) at p·stride + j.
struct Right {
  const float* data;
  int64_t stride;

  const float* panel(float* to, Range j, Range p) const {
    const float* from = data + p.begin * stride + j.begin;
    float* line = to;
    for (int64_t q = 0; q < p.size(); ++q, from += stride, line += COLUMNS) {
      if (j.size() == COLUMNS) {
        for (int v = 0; v < COLUMNS; v += WIDTH) vector_at(line + v) = vector_at(from + v);
      } else {
        std::memcpy(line, from, j.size() * sizeof(float));
        std::fill(line + j.size(), line + COLUMNS, 0.0f);
      }
    }
    return to;
  }
};

// Right operand, transposed: entry (p, j) at j·stride + p.
struct RightTransposed {
  const float* data;
  int64_t stride;

  const float* panel(float* to, Range j, Range p) const {
    constexpr int64_t side = 16;  // a square at a time, so that both sides stay in the cache
    if (j.size() < COLUMNS) std::fill(to, to + p.size() * COLUMNS, 0.0f);
    for (int64_t q = 0; q < p.size(); q += side) {
      const int64_t depth = std::min(side, p.size() - q);
      for (int64_t v = 0; v < j.size(); ++v) {
        const float* from = data + (j.begin + v) * stride + p.begin + q;
        for (int64_t u = 0; u < depth; ++u) to[(q + u) * COLUMNS + v] = from[u];
      }
    }
    return to;
  }
};
