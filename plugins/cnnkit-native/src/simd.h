// Vectors of N floats for whatever this file is compiled for: -DVL=16 -DREGISTERS=32 and so on.
// Every kernel is written for any N, so that short rows use shorter vectors down to one number:
// the sum behind each result runs in the same order, and its bits are the same.
#pragma once
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

namespace cnnkit {
namespace NS {

template <int N>
struct Lanes {
  typedef float F __attribute__((vector_size(N * 4)));
  typedef int32_t I __attribute__((vector_size(N * 4)));
  typedef uint8_t B __attribute__((vector_size(N)));
};
template <int N> using Vec = typename Lanes<N>::F;
template <int N> using Ints = typename Lanes<N>::I;

template <int N>
INLINE Vec<N> load(const float* p) {
  Vec<N> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <typename V>
INLINE void store(float* p, V v) { std::memcpy(p, &v, sizeof v); }
template <int N>
INLINE Vec<N> splat(float a) { return a - Vec<N>{}; }  // 0 + a would add, as 0 + -0 is not -0
template <typename V>
INLINE V larger(V a, V b) { return (a >= b) | (a != a) ? a : b; }  // the first of equals; NaN stays
template <typename V>
INLINE V smaller(V a, V b) { return (a <= b) | (a != a) ? a : b; }
template <typename V>
INLINE V cut(V v) { return V{} > v ? V{} : v; }  // ReLU; lets NaN through

// v where mask is positive, else zero; a product, so that NaN and infinity are not lost on the way
// back, where NumPy multiplies too.
template <typename V>
INLINE V through(V v, V mask) { return v * (mask > V{} ? V{} + 1.0f : V{}); }

template <typename V, int... I>
INLINE V pick(V a, V b, std::integer_sequence<int, I...>) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, I...);
#else
  return __builtin_shuffle(a, b, Ints<sizeof...(I)>{I...});
#endif
}
template <typename Seq, typename Rule> struct Mapped;
template <int... I, typename Rule>
struct Mapped<std::integer_sequence<int, I...>, Rule> {
  using type = std::integer_sequence<int, Rule::at(I, sizeof...(I))...>;
};
template <int N, typename Rule>
using Order = typename Mapped<std::make_integer_sequence<int, N>, Rule>::type;
struct Even { static constexpr int at(int i, int) { return 2 * i; } };
struct Odd { static constexpr int at(int i, int) { return 2 * i + 1; } };
struct Low { static constexpr int at(int i, int n) { return i / 2 + (i % 2 ? n : 0); } };
struct High { static constexpr int at(int i, int n) { return (n + i) / 2 + ((n + i) % 2 ? n : 0); } };

// Two vectors of neighbours -> those at even and at odd places; and back.
template <int N>
INLINE void split(Vec<N> a, Vec<N> b, Vec<N>& even, Vec<N>& odd) {
  even = pick(a, b, Order<N, Even>{});
  odd = pick(a, b, Order<N, Odd>{});
}
template <int N>
INLINE void weave(Vec<N> even, Vec<N> odd, Vec<N>& a, Vec<N>& b) {
  a = pick(even, odd, Order<N, Low>{});
  b = pick(even, odd, Order<N, High>{});
}

// The sum of a vector: four at a time by pairs, as total4 in multiply.h adds, so that a sum has the
// same bits whichever of them is at hand.
template <int N>
INLINE float total(Vec<N> v) {
  float s[N];
  store(s, v);
  if constexpr (N < 4) return N == 1 ? s[0] : s[0] + s[N - 1];
  float sum = (s[0] + s[1]) + (s[2] + s[3]);
  for (int i = 4; i < N; i += 4) sum += (s[i] + s[i + 1]) + (s[i + 2] + s[i + 3]);
  return sum;
}

// A few zeros, between two rows of a map: no call for those.
INLINE void clear(float* at, int64_t count) {
  if (count < 8)
    for (int64_t i = 0; i < count; i++) at[i] = 0;
  else
    std::memset(at, 0, count * sizeof(float));
}

template <int N>
INLINE Ints<N> lane() {
  Ints<N> v;
  UNROLL for (int i = 0; i < N; i++) v[i] = i;
  return v;
}

// body(width, i) for every i of a row, `width` at a time: the last vector overlaps the one before,
// and a row shorter than a vector takes shorter ones. So the result must not alias the input.
template <int N = VL, typename Body>
INLINE void along(int64_t W, Body body) {
  if (W >= N) {
    std::integral_constant<int, N> width;
    int64_t i = 0;
    for (; i + N <= W; i += N) body(width, i);
    if (i < W) body(width, W - N);
  } else if constexpr (N > 1) {
    along<N / 2>(W, body);
  }
}

// e to the power of x: 2 ** n times a polynomial on [-ln 2 / 2, ln 2 / 2], within 2 ulp; NaN stays.
// Source: Moshier, Cephes, expf.
template <int N>
INLINE Vec<N> exponential(Vec<N> x) {
  const Vec<N> low = splat<N>(-87.33654f), high = splat<N>(88.72283f);
  const Vec<N> given = x;
  x = x > high ? high : x;
  x = x < low ? low : x;
  const Vec<N> magic = splat<N>(12582912.0f);  // 1.5 * 2**23: adding it rounds to a whole number
  const Vec<N> n = (x * 1.44269504f + magic) - magic;
  const Vec<N> r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  Vec<N> p = splat<N>(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const Vec<N> whole = given == given ? n : Vec<N>{};  // a NaN has no exponent
  // 2 ** 128 is no float, so the power comes in two halves.
  const Ints<N> e = __builtin_convertvector(whole, Ints<N>);
  const Ints<N> half = e >> 1, one = ((half + 127) << 23), other = ((e - half + 127) << 23);
  Vec<N> a, b;
  std::memcpy(&a, &one, sizeof a);
  std::memcpy(&b, &other, sizeof b);
  p = p * a * b;
  p = given > high ? splat<N>(__builtin_inff()) : p;
  p = given < splat<N>(-104.0f) ? Vec<N>{} : p;
  return given == given ? p : given;
}

}  // namespace NS
}  // namespace cnnkit
