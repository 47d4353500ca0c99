// What is done to each number by itself: y = value(x), and dx = dy * slope(x), or slope(y) where that
// is named. Of NaN and infinity each gives what the layer in NumPy gives.
#pragma once
#include "simd.h"

namespace cnnkit {
namespace NS {

template <int N>
INLINE Vec<N> sigmoid_of(Vec<N> x) {
  // exp(-|x|) cannot overflow; a NaN is neither above nor below zero
  const Vec<N> small = exponential<N>(x > Vec<N>{} ? -x : x);
  const Vec<N> one = splat<N>(1.0f);
  return (x > Vec<N>{} ? one : small) / (one + small);
}

// By a polynomial near zero, where 1 - e loses digits. Source: Moshier, Cephes, tanhf.
template <int N>
INLINE Vec<N> tanh_of(Vec<N> x) {
  const Vec<N> size = x < Vec<N>{} ? -x : x, z = x * x;
  Vec<N> p = splat<N>(-5.70498872745e-3f);
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const Vec<N> far = 1.0f - 2.0f / (exponential<N>(2.0f * size) + 1.0f);
  return size < splat<N>(0.625f) ? p * z * x + x : x < Vec<N>{} ? -far : far;
}

// P(Z <= x) and the density of a standard normal Z, by (1 + 2z) * exp(z * z) * erfc(z) as a
// polynomial in (z - 3.75) / (z + 3.75). Source: Shepherd and Laframboise (1981), with the terms of
// cnnkit/kernels/gelu.py.
template <int N>
INLINE void normal_of(Vec<N> x, Vec<N>& below, Vec<N>& density) {
  constexpr float terms[] = {-0.00022411674674416022f, 0.0003963076129893627f,
                             0.001675912217981131f,    -0.009844494859674952f,
                             0.02840925236412726f,     -0.05864685873554614f,
                             0.09229076959130378f,     -0.10881427014905069f,
                             0.08227841998347046f,     0.003586270394024618f,
                             -0.1402406583213864f,     1.2375126192677f};
  const Vec<N> z = (x < Vec<N>{} ? -x : x) * 0.70710678f, e = exponential<N>(-z * z);
  const Vec<N> ratio = (z - 3.75f) / (z + 3.75f);
  Vec<N> p = splat<N>(terms[0]);
  UNROLL for (int i = 1; i < 12; i++) p = p * ratio + terms[i];
  p = p / (2.0f * z + 1.0f) * e * 0.5f;
  below = x > Vec<N>{} ? 1.0f - p : p;
  density = e * 0.39894228f;
}

struct Copy {
  template <int N> INLINE Vec<N> value(Vec<N> x, float) { return x; }
  template <int N> INLINE Vec<N> slope(Vec<N>, float) { return splat<N>(1.0f); }
};
struct Cut {
  template <int N> INLINE Vec<N> value(Vec<N> x, float) { return cut(x); }
  template <int N> INLINE Vec<N> slope(Vec<N> x, float) { return x > Vec<N>{} ? splat<N>(1.0f) : Vec<N>{}; }
};
struct Sigmoid {
  template <int N> INLINE Vec<N> value(Vec<N> x, float) { return sigmoid_of<N>(x); }
  template <int N> INLINE Vec<N> slope(Vec<N> y, float) { return y * (1.0f - y); }
};
struct Tanh {
  template <int N> INLINE Vec<N> value(Vec<N> x, float) { return tanh_of<N>(x); }
  template <int N> INLINE Vec<N> slope(Vec<N> y, float) { return 1.0f - y * y; }
};
struct LeakyCut {
  template <int N> INLINE Vec<N> value(Vec<N> x, float share) { return larger(x, x * share); }
  template <int N> INLINE Vec<N> slope(Vec<N> x, float share) {
    return x > Vec<N>{} ? splat<N>(1.0f) : splat<N>(share);
  }
};
struct HardSwish {
  template <int N> INLINE Vec<N> value(Vec<N> x, float) {
    Vec<N> ramp = x + 3.0f;
    ramp = ramp < Vec<N>{} ? Vec<N>{} : ramp;
    ramp = ramp > splat<N>(6.0f) ? splat<N>(6.0f) : ramp;
    return ramp * x * (1.0f / 6);
  }
  template <int N> INLINE Vec<N> slope(Vec<N> x, float) {
    const Vec<N> end = x > Vec<N>{} ? splat<N>(1.0f) : Vec<N>{};
    return (x > splat<N>(-3.0f)) & (x < splat<N>(3.0f)) ? x * (1.0f / 3) + 0.5f : end;
  }
};
struct Silu {
  template <int N> INLINE Vec<N> value(Vec<N> x, float) { return x * sigmoid_of<N>(x); }
  template <int N> INLINE Vec<N> slope(Vec<N> x, float) {
    const Vec<N> s = sigmoid_of<N>(x);
    return (1.0f - s) * (x * s) + s;
  }
};
struct Gelu {
  template <int N> INLINE Vec<N> value(Vec<N> x, float) {
    Vec<N> below, density;
    normal_of<N>(x, below, density);
    return x * below;
  }
  template <int N> INLINE Vec<N> slope(Vec<N> x, float) {
    Vec<N> below, density;
    normal_of<N>(x, below, density);
    return x * density + below;
  }
};
struct GeluByTanh {
  template <int N> INLINE Vec<N> inner(Vec<N> x) {
    return tanh_of<N>((x * x * 0.044715f + 1.0f) * x * 0.79788456f);
  }
  template <int N> INLINE Vec<N> value(Vec<N> x, float) { return (inner<N>(x) + 1.0f) * x * 0.5f; }
  template <int N> INLINE Vec<N> slope(Vec<N> x, float) {
    const Vec<N> t = inner<N>(x), steep = (x * x * (3 * 0.044715f) + 1.0f) * x * 0.79788456f;
    return (steep * (1.0f - t * t) + t + 1.0f) * 0.5f;
  }
};

// body(form) with the form as a type, so that what runs for each number need not ask.
template <typename Body>
INLINE void with_form(Form form, Body body) {
  switch (form) {
    case RELU: return body(Cut{});
    case SIGMOID: return body(Sigmoid{});
    case TANH: return body(Tanh{});
    case LEAKY_RELU: return body(LeakyCut{});
    case HARD_SWISH: return body(HardSwish{});
    case SILU: return body(Silu{});
    case GELU: return body(Gelu{});
    case GELU_TANH: return body(GeluByTanh{});
    default: return body(Copy{});
  }
}

}  // namespace NS
}  // namespace cnnkit
