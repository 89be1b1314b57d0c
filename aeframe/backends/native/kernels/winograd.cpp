// Convolutions with 3 x 3 kernels in tiles of M x M outputs (Lavin and Gray 2015):
//
//     Y = Aᵀ [U ⊙ (Bᵀ X B)] A
//
// for each tile X of (M + 2)² inputs, channel and output. Summed over the channels, the entries of
// U ⊙ (Bᵀ X B) are (M + 2)² matrix products with a row for each tile: 4 multiplications for each
// output instead of 9 when M = 2, 2.25 when M = 4.
//
// x (n, h, w, c), u ((M + 2)², c, o), y (n, oh, ow, o).
#include <vector>

#include "kernel.h"
#include "operands.h"

namespace {

constexpr int64_t ROOM = 1 << 20;  // floats: the transformed inputs of a chunk of tiles
constexpr int64_t STRIP = 2 * COLUMNS;  // output channels that a thread does at a time

struct Shape {
  int64_t n, h, w, c, o, top, left, oh, ow;

  explicit Shape(const int64_t* s)
      : n(s[0]), h(s[1]), w(s[2]), c(s[3]), o(s[4]), top(s[5]), left(s[6]), oh(s[7]), ow(s[8]) {}

  static constexpr int size = 9;
};

// The points at which polynomials are multiplied, besides infinity: those of WinogradOp.
template <int M>
constexpr float POINTS[M + 1] = {};
template <>
constexpr float POINTS<2>[3] = {0, 1, -1};
template <>
constexpr float POINTS<4>[5] = {0, 0.75f, -0.75f, 1.5f, -1.5f};

template <int M>
struct Transforms {
  static constexpr int T = M + 2;
  float a[M][T] = {};  // Aᵀ: powers of the points
  float b[T][T] = {};  // Bᵀ: row i is Π (x − p) over all points but the i-th, its coefficients

  constexpr Transforms() {
    for (int i = 0; i < T; ++i) {
      float power = 1;
      for (int k = 0; k < M; ++k, power *= i < T - 1 ? POINTS<M>[i] : 0) {
        a[k][i] = i < T - 1 ? power : k == M - 1;
      }
      b[i][0] = 1;
      for (int j = 0; j < T - 1; ++j) {
        if (j == i) continue;
        for (int k = T - 1; k >= 0; --k) b[i][k] = (k ? b[i][k - 1] : 0) - POINTS<M>[j] * b[i][k];
      }
    }
  }
};

template <int M>
constexpr Transforms<M> TRANSFORMS;

// Row i of a matrix times the vectors at from, from + step ... Zeros and ones cost nothing.
template <int T>
inline __attribute__((always_inline)) Vector row_times(const float (&row)[T], const Vector* from,
                                                       int step) {
  Vector sum{};
  bool first = true;
#pragma GCC unroll 8
  for (int j = 0; j < T; ++j) {
    if (row[j] == 0) continue;
    const Vector term = row[j] == 1 ? from[j * step] : row[j] * from[j * step];
    sum = first ? term : sum + term;
    first = false;
  }
  return sum;
}

// The chunk of tiles, numbered image by image and row by row, that begins at `first`.
template <int M>
struct Tiles {
  static constexpr int T = M + 2;
  const Shape& s;
  int64_t first, count;

  static int64_t down(const Shape& s) { return ceil_div(s.oh, M); }
  static int64_t across(const Shape& s) { return ceil_div(s.ow, M); }
  static int64_t all(const Shape& s) { return s.n * down(s) * across(s); }

  int64_t image(int64_t i) const { return (first + i) / across(s) / down(s); }
  int64_t y(int64_t i) const { return (first + i) / across(s) % down(s) * M; }
  int64_t x(int64_t i) const { return (first + i) % across(s) * M; }

  // v[·, i] = Bᵀ X B of tile i; entry (e, i, channel) of v at (e·count + i)·c + channel.
  void forward(int64_t i, const float* input, const float* zeros, float* v) const {
    const float* pixel[T * T];
    for (int64_t k = 0; k < T * T; ++k) {
      const int64_t row = y(i) + k / T - s.top, column = x(i) + k % T - s.left;
      const bool inside = row >= 0 && row < s.h && column >= 0 && column < s.w;
      pixel[k] = inside ? input + ((image(i) * s.h + row) * s.w + column) * s.c : zeros;
    }
    for (int64_t c = 0; c < s.c; c += WIDTH) {
      const int64_t size = std::min<int64_t>(WIDTH, s.c - c);
      Vector half[T * T], here[T];
      for (int k = 0; k < T; ++k) {
#pragma GCC unroll 8
        for (int l = 0; l < T; ++l) here[l] = load(pixel[k * T + l] + c, size);
#pragma GCC unroll 8
        for (int l = 0; l < T; ++l) half[k * T + l] = row_times(TRANSFORMS<M>.b[l], here, 1);
      }
      for (int l = 0; l < T; ++l) {
#pragma GCC unroll 8
        for (int k = 0; k < T; ++k) {
          store(v + ((k * T + l) * count + i) * s.c + c,
                row_times(TRANSFORMS<M>.b[k], half + l, T), size);
        }
      }
    }
  }

  // Aᵀ · A of tile i and what comes after it, for the output channels j; m is (T², count, STRIP).
  void backward(int64_t i, Range j, const float* m, const Epilogue& last, float* output) const {
    float* pixel[M * M];
    int64_t inside = 0;
    float wanted[STRIP * M * M];
    for (int64_t c = 0; c < j.size(); c += WIDTH) {
      const Vector bias = last.bias ? load(last.bias + j.begin + c,
                                           std::min<int64_t>(WIDTH, j.size() - c)) : Vector{};
      Vector half[M * T], here[T];
      for (int k = 0; k < T; ++k) {
#pragma GCC unroll 8
        for (int l = 0; l < T; ++l) here[l] = vector_at(m + ((k * T + l) * count + i) * STRIP + c);
#pragma GCC unroll 8
        for (int l = 0; l < M; ++l) half[k * M + l] = row_times(TRANSFORMS<M>.a[l], here, 1);
      }
      for (int l = 0; l < M; ++l) {
#pragma GCC unroll 8
        for (int k = 0; k < M; ++k) {
          vector_at(wanted + (k * M + l) * STRIP + c) =
              row_times(TRANSFORMS<M>.a[k], half + l, M) + bias;
        }
      }
    }
    for (int64_t k = 0; k < M * M; ++k) {
      const int64_t row = y(i) + k / M, column = x(i) + k % M;
      if (row >= s.oh || column >= s.ow) continue;
      pixel[inside] = output + ((image(i) * s.oh + row) * s.ow + column) * s.o;
      float* to = pixel[inside++] + j.begin;
      for (int64_t c = 0; c < j.size(); c += WIDTH) {
        store(to + c, vector_at(wanted + k * STRIP + c), std::min<int64_t>(WIDTH, j.size() - c));
      }
    }
    if (last.more()) finish(pixel, inside, j.begin, j.size(), last);
  }
};

template <int M>
void convolve(const Shape& s, const float* x, const float* u, const Epilogue& last, float* y) {
  constexpr int64_t T = M + 2;
  const int64_t all = Tiles<M>::all(s), strips = ceil_div(s.o, STRIP);
  const int64_t fit = std::clamp<int64_t>(ROOM / (T * T * s.c), 2 * ROWS, BLOCK);
  const int64_t chunks = ceil_div(all, fit);
  const std::vector<float> zeros(s.c);
  const Buffer v(T * T * fit * s.c);
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const Range some = piece_of(all, chunks, 1, chunk);
    const Tiles<M> tiles{s, some.begin, some.size()};
    parallel(tiles.count, [&](int64_t i) { tiles.forward(i, x, zeros.data(), v.get()); });
    parallel(strips, [&](int64_t strip) {
      const Range j{strip * STRIP, std::min(s.o, (strip + 1) * STRIP)};
      float* m = room(T * T * fit * STRIP);
      for (int64_t e = 0; e < T * T; ++e) {
        product({0, tiles.count}, {0, j.size()}, {0, s.c}, Left{v.get() + e * tiles.count * s.c, s.c},
                Right{u + e * s.c * s.o + j.begin, s.o},
                [&](int64_t i) { return m + (e * tiles.count + i) * STRIP; });
      }
      for (int64_t i = 0; i < tiles.count; ++i) tiles.backward(i, j, m, last, y);
    });
  }
}

}  // namespace

// x, u[, bias][, addend] → y. Sizes: the shape, those of the epilogue, M.
KERNEL(winograd) {
  const Shape s(call.n);
  const Epilogue last = epilogue(call, call.n + Shape::size);
  const auto run = call.n[Shape::size + 3] == 2 ? convolve<2> : convolve<4>;
  run(s, call.in(0), call.in(1), last, call.out(0));
}
