// As many floats as one register holds, and how many such registers there are.
#pragma once

#include <algorithm>
#include <cstdint>

#if defined(__AVX512F__)
constexpr int WIDTH = 16, REGISTERS = 32;
#elif defined(__AVX__)
constexpr int WIDTH = 8, REGISTERS = 16;
#elif defined(__aarch64__)
constexpr int WIDTH = 4, REGISTERS = 32;
#else
constexpr int WIDTH = 4, REGISTERS = 16;
#endif

// Arithmetic on it is entry by entry; it may lie at any address.
typedef float Vector __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

inline Vector& vector_at(float* p) { return *reinterpret_cast<Vector*>(p); }
inline const Vector& vector_at(const float* p) { return *reinterpret_cast<const Vector*>(p); }

// The first `size` entries of a vector, up to WIDTH; the others are 0.
inline Vector load(const float* from, int64_t size) {
  if (size == WIDTH) return vector_at(from);
  float all[WIDTH] = {};
  std::copy(from, from + size, all);
  return vector_at(all);
}

inline void store(float* to, Vector value, int64_t size) {
  if (size == WIDTH) {
    vector_at(to) = value;
  } else {
    float all[WIDTH];
    vector_at(all) = value;
    std::copy(all, all + size, to);
  }
}
