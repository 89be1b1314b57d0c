// As many floats as one register holds, and how many such registers there are.
#pragma once

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
