// Convolutions with kernels of three rows from half the products, by Winograd's F(4, 3) along the
// height: four rows of y come from six rows of x as
//   y = A' [ (G w) * (B' x) ]      and so, for the gradient of w,      dw = G' [ (A dy) * (B' x) ]
// where * is, for each of the six, what `rows` and `outer` do with a kernel of one row. Along the
// height only, as then every pass runs along rows as they lie in memory. It takes any number of
// channels and of images; the square form in square.h has half of these products again.
// Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2015).
#pragma once
#include "multiply.h"

namespace cnnkit {
namespace NS {

// B' v, A' v, A v, G v and G' v: what goes in, what comes out, and for the gradient of w the way
// back; weights in, and their gradient out.
template <int N>
INLINE void six_of(const Vec<N>* v, Vec<N>* t) {
  const Vec<N> a = v[4] - 4.0f * v[2], b = v[3] - 4.0f * v[1];
  const Vec<N> c = v[4] - v[2], d = 2.0f * (v[3] - v[1]);
  t[0] = 4.0f * v[0] - 5.0f * v[2] + v[4];
  t[1] = a + b;
  t[2] = a - b;
  t[3] = c + d;
  t[4] = c - d;
  t[5] = 4.0f * v[1] - 5.0f * v[3] + v[5];
}
template <int N>
INLINE void four_of(const Vec<N>* m, Vec<N>* v) {
  const Vec<N> a = m[1] + m[2], s = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
  v[0] = m[0] + a + c;
  v[1] = s + 2.0f * d;
  v[2] = a + 4.0f * c;
  v[3] = s + 8.0f * d + m[5];
}
template <int N>
INLINE void spread(const Vec<N>* v, Vec<N>* t) {
  const Vec<N> even = v[0] + v[2], odd = v[1] + v[3];
  const Vec<N> far = v[0] + 4.0f * v[2], wide = 2.0f * v[1] + 8.0f * v[3];
  t[0] = v[0];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = far + wide;
  t[4] = far - wide;
  t[5] = v[3];
}
template <int N>
INLINE void weights_in(const Vec<N>* g, Vec<N>* u) {
  const Vec<N> sum = (g[0] + g[2]) * (1.0f / 6), b = g[1] * (1.0f / 6);
  const Vec<N> far = g[0] * (1.0f / 24) + g[2] * (1.0f / 6), half = g[1] * (1.0f / 12);
  u[0] = g[0] * 0.25f;
  u[1] = -sum - b;
  u[2] = -sum + b;
  u[3] = far + half;
  u[4] = far - half;
  u[5] = g[2];
}
template <int N>
INLINE void weights_out(const Vec<N>* u, Vec<N>* g) {
  const Vec<N> s = u[1] + u[2], d = u[2] - u[1], q = u[3] + u[4], e = u[3] - u[4];
  g[0] = u[0] * 0.25f - s * (1.0f / 6) + q * (1.0f / 24);
  g[1] = d * (1.0f / 6) + e * (1.0f / 12);
  g[2] = (q - s) * (1.0f / 6) + u[5];
}

// Rows r * 4 - above and on of each plane of x, zeros outside it, by B': to[p] holds for each plane
// one row of `pitch` for each four, with zeros right of W, after a row of zeros and before another.
static void bands_in(const Map& x, int64_t above, int64_t bands, float* to, int64_t plane) {
  const int64_t pitch = x.pitch, room = plane + 2 * pitch;
  float* zero = to;  // the row of zeros at the beginning
  for (int p = 0; p < 6; p++) {
    std::memset(to + p * room, 0, pitch * sizeof(float));
    std::memset(to + (p + 1) * room - pitch, 0, pitch * sizeof(float));
  }
  float* out = to + pitch;
  for (int64_t c = 0; c < x.C; c++)
    for (int64_t r = 0; r < bands; r++, out += pitch) {
      const float* in[6];
      for (int i = 0; i < 6; i++) {
        const int64_t h = r * 4 - above + i;
        in[i] = h >= 0 && h < x.H ? x.data + c * x.plane + h * pitch : zero;
      }
      along(x.W, [&](auto width, int64_t i) {
        constexpr int N = decltype(width)::value;
        Vec<N> v[6], t[6];
        UNROLL for (int k = 0; k < 6; k++) v[k] = load<N>(in[k] + i);
        six_of<N>(v, t);
        UNROLL for (int p = 0; p < 6; p++) store(out + p * room + i, t[p]);
      });
      for (int p = 0; p < 6; p++) clear(out + p * room + x.W, pitch - x.W);
    }
}

// y = A' M + bias, cut or masked like `rows` does; M[p] as bands_in wrote, without rows of zeros.
static void bands_out(const float* M, int64_t room, int64_t bands, const float* bias, bool relu,
                      const Map* mask, Map y) {
  for (int64_t f = 0; f < y.C; f++)
    for (int64_t r = 0; r < bands; r++, M += y.pitch) {
      const int64_t most = std::min<int64_t>(4, y.H - 4 * r);
      const float b = bias ? bias[f] : 0.0f;
      along(y.W, [&](auto width, int64_t i) {
        constexpr int N = decltype(width)::value;
        Vec<N> m[6], v[4];
        UNROLL for (int k = 0; k < 6; k++) m[k] = load<N>(M + k * room + i);
        four_of<N>(m, v);
        for (int64_t k = 0; k < most; k++) {
          const int64_t h = 4 * r + k;
          Vec<N> out = v[k] + b;
          if (relu) out = cut(out);
          if (mask)
            out = through(out, load<N>(mask->data + f * mask->plane + h * mask->pitch + i));
          store(y.data + f * y.plane + h * y.pitch + i, out);
        }
      });
    }
}

// A dy for rows of `length` numbers one after the other, as dy flipped has them: (H, length) ->
// six times (bands, length), `room` apart.
static void bands_back(const float* dy, int64_t H, int64_t length, int64_t bands, float* to,
                       int64_t room) {
  for (int64_t r = 0; r < bands; r++, to += length) {
    const int64_t most = std::min<int64_t>(4, H - 4 * r);
    const float* in = dy + 4 * r * length;
    along(length, [&](auto width, int64_t i) {
      constexpr int N = decltype(width)::value;
      Vec<N> v[4] = {}, t[6];
      for (int64_t k = 0; k < most; k++) v[k] = load<N>(in + k * length + i);
      spread<N>(v, t);
      UNROLL for (int p = 0; p < 6; p++) store(to + p * room + i, t[p]);
    });
  }
}

// G w, packed for `rows`: w[f * stride + at[t] + k * step] are the three rows of a kernel's column.
static void bands_pack(int64_t F, int64_t T, const float* w, int64_t stride, const int64_t* at,
                       int64_t step, float* U) {
  const int64_t room = F * T;
  for (int64_t f = 0, m; f < F; f += m) {
    m = block_of(F, f);
    for (int64_t t = 0; t < T; t++)
      for (int64_t i = 0; i < m; i++) {
        const float* column = w + (f + i) * stride + at[t];
        const Vec<1> g[3] = {{column[0]}, {column[step]}, {column[2 * step]}};
        Vec<1> u[6];
        weights_in<1>(g, u);
        for (int p = 0; p < 6; p++) store(U + p * room + f * T + t * m + i, u[p]);
      }
  }
}

// dw = G' dU; dU is six times (T, F), and t = (channel, column); dw is (F, channels, 3, columns).
static void bands_sum(int64_t F, int64_t channels, int64_t columns, const float* dU, float* dw) {
  const int64_t T = channels * columns, room = T * F;
  for (int64_t t = 0; t < T; t++)
    for (int64_t f = 0; f < F; f++) {
      Vec<1> u[6], g[3];
      for (int p = 0; p < 6; p++) u[p] = load<1>(dU + p * room + t * F + f);
      weights_out<1>(u, g);
      float* at = dw + (f * channels + t / columns) * 3 * columns + t % columns;
      for (int k = 0; k < 3; k++) store(at + k * columns, g[k]);
    }
}

}  // namespace NS
}  // namespace cnnkit
