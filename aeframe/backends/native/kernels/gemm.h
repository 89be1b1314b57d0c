// Matrix products C = A·B, C (m, n), for operands that say how they are packed.
//
// The usual scheme (Goto and van de Geijn 2008, "Anatomy of high-performance matrix
// multiplication"): C is cut into tiles of ROWS x COLUMNS entries that stay in registers while the
// depth k is walked; a panel of B (DEPTH x COLUMNS) stays in the first cache and a block of A
// (BLOCK x DEPTH) in the second. An operand copies its parts into panels and blocks itself, so that
// the rows of A may just as well be the patches of an image.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "team.h"
#include "vector.h"

constexpr int COLUMNS = 2 * WIDTH;
constexpr int ROWS = REGISTERS == 32 ? 14 : 6;  // 2·ROWS sums, two entries of B, one of A
constexpr int64_t DEPTH = 320;
constexpr int64_t LINE = DEPTH + 16;  // not a power of two, or rows share cache sets
constexpr int64_t BLOCK = 24 * ROWS;
constexpr int64_t SPAN = 8 * COLUMNS;  // what is copied of a row of B at a time: whole lines of it
constexpr int64_t PANEL = 32;  // columns of a panel of `Panelled`, a multiple of COLUMNS

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Piece i of `n` things in `pieces` that are multiples of `unit` and as equal as can be.
inline Range piece_of(int64_t n, int64_t pieces, int64_t unit, int64_t i) {
  const int64_t units = ceil_div(n, unit);
  return {std::min(n, units * i / pieces * unit), std::min(n, units * (i + 1) / pieces * unit)};
}

// Memory for floats, aligned to cache lines.
class Buffer {
 public:
  explicit Buffer(int64_t size) : data(allocate(size), &std::free) {}
  float* get() const { return data.get(); }

 private:
  static float* allocate(int64_t size) {
    void* p = std::aligned_alloc(64, ceil_div(4 * std::max<int64_t>(size, 1), 64) * 64);
    if (p == nullptr) throw std::bad_alloc();
    return static_cast<float*>(p);
  }
  std::unique_ptr<float, decltype(&std::free)> data;
};

// Rows of C from row `i`, columns from `j`: (+)= `sum` or, at first, bias + `sum`.
struct Target {
  float* const* row;
  const float* bias;  // of column 0, or null
  int64_t j;
  int64_t columns;
  bool add;
};

// What is done to a product where it is made: y = activation(product + bias + addend).
struct Epilogue {
  enum Activation : int64_t { NONE, RELU, GELU };

  const float* bias = nullptr;  // of each column, or null
  const float* addend = nullptr;  // an array that lies as y does, or null
  const float* y = nullptr;
  Activation activation = NONE;

  bool more() const { return addend || activation != NONE; }
};

// All but the bias, on `columns` entries of each of some rows of y.
void finish(float* const* row, int64_t rows, int64_t j, int64_t columns, const Epilogue& last);

// A panel of B whose lines lie `line` apart, and the memory to ask for while a tile is done: `step`
// floats of it for each line.
struct Panel {
  const float* data;
  int64_t line;
  const float* next;
  int64_t step;
};

// Does one tile: `depth` entries of a sliver of A and of a panel of B.
using Tile = void (*)(int64_t depth, const float* a, const Panel& b, const Target& c);

// The tile of r rows and v vectors. Entry (i, p) of A is at i·LINE + p or, if `deep`, at p·r + i.
Tile tile_for(bool deep, int64_t r, int64_t v);

// Memory of this thread for at least `size` floats, the same at every call.
inline float* room(int64_t size) {
  thread_local int64_t have = 0;
  thread_local std::unique_ptr<Buffer> mine;
  if (have < size) mine = std::make_unique<Buffer>(have = size);
  return mine->get();
}

// Where this thread keeps its block of A, its strip of B, and the rows of C.
struct Scratch {
  Buffer block{BLOCK * LINE + WIDTH}, strip{DEPTH * SPAN};
  float* rows[BLOCK];
};

inline Scratch& scratch() {
  thread_local Scratch mine;
  return mine;
}

// A right operand that lies in panels already: `at(j, p)` is where that of columns from j is, for
// the depths p, and its lines are `line` apart.
template <class B>
concept Ready = requires(const B& b, Range p) { b.at(int64_t(), p); };

// Copy columns j and depths p of B, panel after panel. B does so itself if it has `strip`.
template <class B>
void copy_panels(const B& b, float* to, Range j, Range p) {
  if constexpr (requires { b.strip(to, j, p); }) {
    b.strip(to, j, p);
  } else {
    for (int64_t c = j.begin; c < j.end; c += COLUMNS, to += COLUMNS * p.size()) {
      b.panel(to, {c, std::min<int64_t>(c + COLUMNS, j.end)}, p);
    }
  }
}

// The product of rows `i`, columns `j` (from a multiple of COLUMNS) over the depths `all`.
//
// A has `deep`, and `pack(to, i, p, r)`, which copies its rows i and depths p in slivers of r rows.
// B is Ready or has `panel(to, j, p)`, which copies columns j and depths p, COLUMNS to a line.
// `row(i)` is where row i of C begins.
template <class A, class B, class Row>
void product(Range i, Range j, Range all, const A& a, const B& b, Row&& row,
             const Epilogue& last = {}) {
  Scratch& own = scratch();
  const int64_t r = ceil_div(i.size(), ceil_div(i.size(), ROWS));
  const int64_t steps = std::max<int64_t>(1, ceil_div(all.size(), DEPTH));
  for (int64_t m = i.begin; m < i.end; ++m) own.rows[m - i.begin] = row(m);
  for (int64_t s = 0; s < steps; ++s) {
    const Range piece = piece_of(all.size(), steps, 1, s);
    const Range p{all.begin + piece.begin, all.begin + piece.end};
    a.pack(own.block.get(), i, p, r);
    for (int64_t c = j.begin; c < j.end; c += COLUMNS) {
      const int64_t columns = std::min<int64_t>(COLUMNS, j.end - c);
      Panel right;
      if constexpr (Ready<B>) {  // each sliver asks for its part of the panel that comes next
        const bool within = c + COLUMNS < j.end;
        const float* next = within ? b.at(c + COLUMNS, p) : b.at(j.begin, {p.end, p.end});
        right = {b.at(c, p), B::line, next, ceil_div(B::line * r, i.size())};
      } else {
        const int64_t within = (c - j.begin) % SPAN;
        if (within == 0) copy_panels(b, own.strip.get(), {c, std::min(c + SPAN, j.end)}, p);
        const float* copied = own.strip.get() + within * p.size();
        right = {copied, COLUMNS, copied, 0};
      }
      for (int64_t m = 0; m < i.size(); m += r) {
        const int64_t rows = std::min(r, i.size() - m);
        const float* left = own.block.get() + (A::deep ? m * p.size() : m * LINE);
        const Target target{own.rows + m, s == 0 ? last.bias : nullptr, c, columns, s > 0};
        tile_for(A::deep, rows, ceil_div(columns, WIDTH))(p.size(), left, right, target);
        right.next += right.step * p.size();
        if (s == steps - 1 && last.more()) finish(own.rows + m, rows, c, columns, last);
      }
    }
  }
}

// All panels of B, copied once by the whole team for many blocks of A.
class Panels {
 public:
  template <class B>
  Panels(int64_t n, int64_t k, const B& b) : n(n), all(ceil_div(n, COLUMNS) * COLUMNS * k) {
    const int64_t steps = ceil_div(k, DEPTH), across = ceil_div(n, SPAN);
    parallel(steps * across, [&](int64_t task) {
      const int64_t j = task % across * SPAN;
      const Range p = piece_of(k, steps, 1, task / across);
      copy_panels(b, place(j, p), {j, std::min(n, j + SPAN)}, p);
    });
  }

  static constexpr int64_t line = COLUMNS;
  const float* at(int64_t j, Range p) const { return place(j, p); }

 private:
  float* place(int64_t j, Range p) const {
    return all.get() + ceil_div(n, COLUMNS) * COLUMNS * p.begin + j * p.size();
  }

  const int64_t n;
  const Buffer all;
};

// C = A·B, and what comes after it. No entry of C depends on the number of
// threads: each is summed in the order of the depth, in pieces of fixed size.
template <class A, class B, class Row>
void multiply(int64_t m, int64_t n, int64_t k, const A& a, const B& b, Row&& row,
              const Epilogue& last = {}) {
  if (m == 0 || n == 0) return;
  const int64_t down = ceil_div(m, BLOCK), most = ceil_div(n, COLUMNS);
  const int64_t across = std::clamp<int64_t>(4 * team_size() / down, 1, most);
  const auto all = [&](const auto& right) {
    parallel(down * across, [&](int64_t task) {
      const Range i = piece_of(m, down, 1, task / across);
      const Range j = piece_of(n, across, COLUMNS, task % across);
      product(i, j, {0, k}, a, right, row, last);
    });
  };
  if constexpr (Ready<B>) {
    all(b);
  } else {
    down > 1 ? all(Panels(n, k, b)) : all(b);
  }
}
