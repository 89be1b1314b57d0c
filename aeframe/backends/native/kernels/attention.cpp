// Attention of each head: y = w v with w = softmax(scale q kᵀ), and its gradients.
//
// q (n, t, h, d), k (n, s, h, d), v (n, s, h, e), y (n, t, h, e), w (n, t, h, s). Each head is one
// piece of work, done in blocks of rows; under a causal mask a block takes no part in the products
// with keys that none of its rows sees.
#include <cmath>

#include "kernel.h"
#include "operands.h"

namespace {

constexpr int64_t STEP = 2 * ROWS;  // rows of a block

struct Shape {
  int64_t n, h, t, s, d, e, causal;

  explicit Shape(const int64_t* z)
      : n(z[0]), h(z[1]), t(z[2]), s(z[3]), d(z[4]), e(z[5]), causal(z[6]) {}

  static constexpr int size = 7;

  // How many keys query i sees, from the first.
  int64_t seen(int64_t i) const {
    return causal ? std::clamp<int64_t>(i + 1 + s - t, 0, s) : s;
  }
  // The first query that sees key j.
  int64_t first(int64_t j) const { return causal ? std::clamp<int64_t>(j - (s - t), 0, t) : 0; }
  int64_t line() const { return ceil_div(s, COLUMNS) * COLUMNS + WIDTH; }
};

// One head of an array (n, length, h, width): row i is at i·stride.
template <class T>
struct Head {
  T* data;
  int64_t stride;

  Head(T* all, const Shape& z, int64_t task, int64_t length, int64_t width)
      : data(all + task / z.h * length * z.h * width + task % z.h * width), stride(z.h * width) {}

  T* row(int64_t i) const { return data + i * stride; }
};

// A right operand of `n` columns and depth `k`, copied once for many products.
class Packed {
 public:
  template <class B>
  Packed(const B& b, int64_t n, int64_t k) : k(k), all(ceil_div(n, COLUMNS) * COLUMNS * k) {
    for (int64_t j = 0; j < n; j += COLUMNS) {
      b.panel(all.get() + j * k, {j, std::min<int64_t>(n, j + COLUMNS)}, {0, k});
    }
  }

  static constexpr int64_t line = COLUMNS;
  const float* at(int64_t j, Range p) const { return all.get() + j * k + p.begin * COLUMNS; }

 private:
  const int64_t k;
  const Buffer all;
};

// exp x for x ≤ 0, to 2 units in the last place: 2ⁿ times a polynomial on |r| ≤ log(2)/2 (the
// coefficients are those of Cephes); NaN stays.
inline Vector exponential(Vector x) {
  typedef int32_t Integers __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
  constexpr float shift = 12582912.0f;  // 1.5·2²³: what is added to it is rounded
  x = x < -87.0f ? Vector{} - 87.0f : x;
  const Vector n = (x * 1.44269504f + shift) - shift;
  const Vector r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const Integers power = (__builtin_convertvector(n, Integers) + 127) << 23;
  return p * reinterpret_cast<const Vector&>(power);
}

// All entries of a vector combined, pair by pair.
template <class Combine>
float folded(Vector v, Combine&& combine) {
  float all[WIDTH];
  vector_at(all) = v;
#pragma GCC unroll 8
  for (int half = WIDTH / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) all[i] = combine(all[i], all[i + half]);
  }
  return all[0];
}

inline float sum(Vector v) {
  return folded(v, [](float a, float b) { return a + b; });
}

inline float greatest(Vector v) {
  return folded(v, [](float a, float b) { return a > b ? a : b; });
}

// Σ a b
float dot(const float* a, const float* b, int64_t size) {
  Vector total{};
  int64_t j = 0;
  for (; j + WIDTH <= size; j += WIDTH) total += vector_at(a + j) * vector_at(b + j);
  float rest = 0;
  for (; j < size; ++j) rest += a[j] * b[j];
  return sum(total) + rest;
}

// softmax(scale x) of the first `seen` of `size` entries, zeros for the others; there is room for
// one vector more. All rows of a block take as many turns, so that the processor knows the way.
void softmax(float* x, float scale, int64_t seen, int64_t size) {
  if (seen > 0) {
    std::fill(x + seen, x + size + WIDTH, -INFINITY);
    Vector most = vector_at(x), total{};
    for (int64_t j = WIDTH; j < size; j += WIDTH) {
      const Vector here = vector_at(x + j);
      most = here > most ? here : most;
    }
    const float top = greatest(most);
    for (int64_t j = 0; j < size; j += WIDTH) {
      total += vector_at(x + j) = exponential((vector_at(x + j) - top) * scale);
    }
    const float inverse = 1 / sum(total);
    for (int64_t j = 0; j < size; j += WIDTH) vector_at(x + j) *= inverse;
  }
  std::fill(x + seen, x + size, 0.0f);
}

// Do `body(rows)` for the rows 0 .. n-1 in blocks.
template <class Body>
void blocks(int64_t n, Body&& body) {
  for (int64_t i = 0; i < n; i += STEP) body(Range{i, std::min(n, i + STEP)});
}

}  // namespace

// q, k, v → y, w. Sizes: n, h, t, s, d, e, whether it is causal. Reals: scale.
KERNEL(attention) {
  const Shape z(call.n);
  const float scale = call.h[0];
  parallel(z.n * z.h, [&](int64_t task) {
    const Head q(call.in(0), z, task, z.t, z.d), k(call.in(1), z, task, z.s, z.d);
    const Head v(call.in(2), z, task, z.s, z.e);
    const Head y(call.out(0), z, task, z.t, z.e), w(call.out(1), z, task, z.t, z.s);
    const Packed keys(RightTransposed{k.data, k.stride}, z.s, z.d);
    const Packed values(Right{v.data, v.stride}, z.e, z.s);
    const Buffer scores(STEP * z.line());
    blocks(z.t, [&](Range i) {
      const int64_t wide = z.seen(i.end - 1);
      const auto score = [&](int64_t m) { return scores.get() + (m - i.begin) * z.line(); };
      product(i, {0, wide}, {0, z.d}, Left{q.data, q.stride}, keys, score);
      for (int64_t m = i.begin; m < i.end; ++m) {
        softmax(score(m), scale, z.seen(m), wide);
        std::copy(score(m), score(m) + wide, w.row(m));
        std::fill(w.row(m) + wide, w.row(m) + z.s, 0.0f);
      }
      product(i, {0, z.e}, {0, wide}, Left{scores.get() - i.begin * z.line(), z.line()}, values,
              [&](int64_t m) { return y.row(m); });
    });
  });
}

// q, k, v, y, w, dy → gradients of q, k, v. Sizes and reals as above.
//
// Those of the scores are scale w (dw − Σ dw w), and Σ dw w is Σ dy y.
KERNEL(attention_gradient) {
  const Shape z(call.n);
  const float scale = call.h[0];
  parallel(z.n * z.h, [&](int64_t task) {
    const Head q(call.in(0), z, task, z.t, z.d), k(call.in(1), z, task, z.s, z.d);
    const Head v(call.in(2), z, task, z.s, z.e), y(call.in(3), z, task, z.t, z.e);
    const Head w(call.in(4), z, task, z.t, z.s), dy(call.in(5), z, task, z.t, z.e);
    const Head dq(call.out(0), z, task, z.t, z.d), dk(call.out(1), z, task, z.s, z.d);
    const Head dv(call.out(2), z, task, z.s, z.e);
    const Packed values(RightTransposed{v.data, v.stride}, z.s, z.e);
    const Packed keys(Right{k.data, k.stride}, z.d, z.s);
    const Packed queries(Right{q.data, q.stride}, z.d, z.t);
    const Packed cotangents(Right{dy.data, dy.stride}, z.e, z.t);
    const Buffer all(z.t * z.line());
    const auto score = [&](int64_t m) { return all.get() + m * z.line(); };
    blocks(z.t, [&](Range i) {
      const int64_t wide = z.seen(i.end - 1);
      product(i, {0, wide}, {0, z.e}, Left{dy.data, dy.stride}, values, score);
      for (int64_t m = i.begin; m < i.end; ++m) {
        float* g = score(m);
        const float *weight = w.row(m), total = dot(dy.row(m), y.row(m), z.e);
#pragma GCC ivdep
        for (int64_t j = 0; j < wide; ++j) g[j] = scale * weight[j] * (g[j] - total);
        std::fill(g + wide, g + z.s, 0.0f);
      }
      product(i, {0, z.d}, {0, wide}, Left{all.get(), z.line()}, keys,
              [&](int64_t m) { return dq.row(m); });
    });
    blocks(z.s, [&](Range j) {
      const Range i{z.first(j.begin), z.t};
      product(j, {0, z.d}, i, LeftTransposed{all.get(), z.line()}, queries,
              [&](int64_t m) { return dk.row(m); });
      product(j, {0, z.e}, i, LeftTransposed{w.data, w.stride}, cotangents,
              [&](int64_t m) { return dv.row(m); });
    });
  });
}
