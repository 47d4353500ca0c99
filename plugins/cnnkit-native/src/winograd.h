// Convolutions with kernels of three rows from half the products, by Winograd's F(4, 3) along the
// height: four rows of y come from six rows of x as
//   y = A' [ (G w) * (B' x) ]      and so, for the gradient of w,      dw = G' [ (A dy) * (B' x) ]
// where * is, for each of the six, what `rows` and `outer` do with a kernel of one row. Along the
// height only, as then every pass runs along rows as they lie in memory; the square form, with a
// quarter of the products, would have to gather tiles, and is not tried yet.
// Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2015).
#pragma once
#include "multiply.h"

namespace cnnkit {
namespace NS {

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
        Vec<N> v[6];
        UNROLL for (int k = 0; k < 6; k++) v[k] = load<N>(in[k] + i);
        const Vec<N> a = v[4] - 4.0f * v[2], b = v[3] - 4.0f * v[1];
        const Vec<N> c = v[4] - v[2], d = 2.0f * (v[3] - v[1]);
        float* at = out + i;
        store(at, 4.0f * v[0] - 5.0f * v[2] + v[4]);
        store(at + room, a + b);
        store(at + 2 * room, a - b);
        store(at + 3 * room, c + d);
        store(at + 4 * room, c - d);
        store(at + 5 * room, 4.0f * v[1] - 5.0f * v[3] + v[5]);
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
        const Vec<N> a = m[1] + m[2], s = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
        v[0] = m[0] + a + c + b;
        v[1] = s + 2.0f * d + b;
        v[2] = a + 4.0f * c + b;
        v[3] = s + 8.0f * d + m[5] + b;
        for (int64_t k = 0; k < most; k++) {
          const int64_t h = 4 * r + k;
          Vec<N> out = v[k];
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
      Vec<N> v[4] = {};
      for (int64_t k = 0; k < most; k++) v[k] = load<N>(in + k * length + i);
      const Vec<N> even = v[0] + v[2], odd = v[1] + v[3];
      const Vec<N> far = v[0] + 4.0f * v[2], wide = 2.0f * v[1] + 8.0f * v[3];
      store(to + i, v[0]);
      store(to + room + i, even + odd);
      store(to + 2 * room + i, even - odd);
      store(to + 3 * room + i, far + wide);
      store(to + 4 * room + i, far - wide);
      store(to + 5 * room + i, v[3]);
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
        const float* g = w + (f + i) * stride + at[t];
        const float a = g[0], b = g[step], c = g[2 * step];
        const float sum = (a + c) * (1.0f / 6), far = a * (1.0f / 24) + c * (1.0f / 6);
        float* u = U + f * T + t * m + i;
        u[0] = a * 0.25f;
        u[room] = -sum - b * (1.0f / 6);
        u[2 * room] = -sum + b * (1.0f / 6);
        u[3 * room] = far + b * (1.0f / 12);
        u[4 * room] = far - b * (1.0f / 12);
        u[5 * room] = c;
      }
  }
}

// dw = G' dU; dU is six times (T, F), and t = (channel, column); dw is (F, channels, 3, columns).
static void bands_sum(int64_t F, int64_t channels, int64_t columns, const float* dU, float* dw) {
  const int64_t T = channels * columns, room = T * F;
  for (int64_t t = 0; t < T; t++)
    for (int64_t f = 0; f < F; f++) {
      const float* u = dU + t * F + f;
      const float s = u[room] + u[2 * room], d = u[2 * room] - u[room];
      const float q = u[3 * room] + u[4 * room], e = u[3 * room] - u[4 * room];
      float* at = dw + (f * channels + t / columns) * 3 * columns + t % columns;
      at[0] = u[0] * 0.25f - s * (1.0f / 6) + q * (1.0f / 24);
      at[columns] = d * (1.0f / 6) + e * (1.0f / 12);
      at[2 * columns] = (q - s) * (1.0f / 6) + u[5 * room];
    }
}

}  // namespace NS
}  // namespace cnnkit
