// Runs a program: image by image through operations that look at one, so that what they hand on
// is still in the cache; operations on the whole batch between those.
#include "program.h"

#include <cstring>

#include "room.h"

namespace cnnkit {
namespace {

struct Run {
  const Program& p;
  const Half& half;
  const Call& call;
  const Kernels& k;

  const Value& value(int64_t number) const { return half.values[number]; }
  float* memory(const Value& v, int64_t i) const {
    // x, y and dy are only read where they are not to be changed: `check` saw to it
    float* base = reinterpret_cast<float*>(call.spaces[v.space].address);
    return base + v.fixed + call.n * v.per_image + i * v.step;
  }
  Map map(int64_t number, int64_t i) const {
    const Value& v = value(number);
    return {memory(v, i) + v.first, v.C, v.H, v.W, v.pitch, v.plane};
  }
  const float* weight(int64_t number) const {
    return number < 0 ? nullptr : reinterpret_cast<const float*>(call.weights[number].address);
  }
  float* grad(int64_t number) const { return reinterpret_cast<float*>(call.grads[number].address); }

  void frame(const Value& v, int64_t i) const;
  void prepare(const Operation& o, const Taps& taps) const;
  void image(const Operation& o, const Taps& taps, int64_t i) const;
  void batch(const Operation& o, const Taps& taps) const;
  void pack(const Operation& o, const Taps& taps) const;
  void winograd(const Operation& o, const Taps& taps, int64_t i) const;
  void winograd_dw(const Operation& o, const Taps& taps, int64_t i) const;
  void conv(const Operation& o, const Taps& taps, int64_t i) const;
  void conv_dx(const Operation& o, const Taps& taps, int64_t i) const;
  void conv_dw(const Operation& o, const Taps& taps, int64_t i) const;
  void depthwise(const Operation& o, const Taps& taps, int64_t i) const;
  void each(const Operation& o, int64_t i) const;
  void pool(const Operation& o, int64_t i) const;
  void phases(const Operation& o, int64_t i) const;
  void square(const Operation& o) const;
  void all() const;
};
constexpr int64_t FEW = 8;  // images

// Memory comes as it is, from whoever used it last.
void Run::frame(const Value& v, int64_t i) const {
  float* at = memory(v, i);
  float* const end = at + v.size;
  auto zero = [&](float* to) {
    if (to - at < 8)  // between two rows of most maps: no call for those
      while (at < to) *at++ = 0;
    else
      std::memset(at, 0, (to - at) * sizeof(float));
  };
  float* plane = at + v.first;
  for (int64_t c = 0; c < v.C; c++, plane += v.plane)
    for (int64_t h = 0; h < v.H; h++) {
      zero(plane + h * v.pitch);
      at = plane + h * v.pitch + v.W;
    }
  zero(end);
}

void Run::pack(const Operation& o, const Taps& taps) const {
  if (o.winograd) {
    const bool back = o.code == CONV_DX;
    const int64_t C = value(back ? o.y : o.x).C, results = back ? C : o.filters;
    const int64_t stride = (back ? 1 : C) * 3 * o.kw, step = back ? -o.kw : o.kw;
    return k.bands_pack(results, (int64_t)taps.at.size(), weight(o.w), stride, taps.at.data(), step,
                        memory(value(o.packed), 0));
  }
  const Value& x = value(o.code == CONV_DX ? o.y : o.x);
  const int64_t area = o.kh * o.kw, filters = o.filters / o.groups;
  const int64_t channels = x.C / (o.down * o.across) / o.groups, share = filters * channels * area;
  const float* W = weight(o.w);
  float* A = memory(value(o.packed), 0);
  for (int64_t g = 0; g < o.groups; g++, W += share)
    if (o.code == CONV) {
      k.pack(filters, channels * area, W, channels * area, taps.at.data(), A);
      A += share;
    } else {
      for (const auto& at : taps.back_at) {
        k.pack(channels, (int64_t)at.size(), W, area, at.data(), A);
        A += channels * (int64_t)at.size();
      }
    }
}

// Either way: going back, dx comes from dy as y does from x, by kernels turned round.
void Run::winograd(const Operation& o, const Taps& taps, int64_t i) const {
  const bool back = o.code == CONV_DX;
  const Map x = map(o.x, i), y = map(o.y, i), mask = o.z >= 0 ? map(o.z, i) : Map{};
  const Bands b(o, x.C, y.C, y.H, y.pitch);
  float* U = memory(value(o.packed), 0);
  float *in = U + 6 * b.weights, *out = in + 6 * b.inside;
  k.bands_in(x, back ? 2 - o.top : o.top, b.count, in, b.in);
  for (int p = 0; p < 6; p++)
    k.rows({y.C, (int64_t)taps.off.size(), (b.count - 1) * y.pitch + y.W, taps.off.data(),
            U + p * b.weights, 0, 0, in + p * b.inside + y.pitch, nullptr, nullptr, false, nullptr,
            0, out + p * b.out, b.count * y.pitch});
  k.bands_out(out, b.out, b.count, back ? nullptr : weight(o.b), o.form == RELU,
              mask.data ? &mask : nullptr, y);
}

void Run::winograd_dw(const Operation& o, const Taps& taps, int64_t i) const {
  const Map x = map(o.x, i), dy = map(o.y, i);
  const Bands b(o, x.C, dy.C, dy.H, dy.pitch);
  float* sums = memory(value(o.packed), 0);
  float *in = sums + 6 * b.weights, *out = in + 6 * b.inside, *flipped = out + 6 * b.out;
  const int64_t F = dy.C, L = (dy.H - 1) * dy.pitch + dy.W;
  k.bands_in(x, o.top, b.count, in, b.in);
  k.transpose(F, L, dy.data, dy.plane, flipped, F);
  std::memset(flipped + L * F, 0, (dy.H * dy.pitch - L) * F * sizeof(float));
  k.bands_back(flipped, dy.H, dy.pitch * F, b.count, out, b.out);
  const int64_t T = (int64_t)taps.off.size();
  for (int p = 0; p < 6; p++)
    k.outer({F, T, (b.count - 1) * dy.pitch + dy.W, out + p * b.out, 0,
             in + p * b.inside + dy.pitch, taps.off.data(), sums + p * b.weights, F, i > 0});
  if (i == call.n - 1) k.bands_sum(F, x.C, o.kw, sums, grad(o.w));
}

void Run::conv(const Operation& o, const Taps& taps, int64_t i) const {
  const Map x = map(o.x, i), y = map(o.y, i);
  const int64_t filters = o.filters / o.groups, T = (int64_t)taps.off.size();
  const float* b = weight(o.b);
  Rows r{filters, T, (y.H - 1) * y.pitch + y.W, taps.off.data(), memory(value(o.packed), 0), 0, 0,
         x.data, b, nullptr, o.form == RELU, nullptr, 0, y.data, y.plane};
  for (int64_t g = 0; g < o.groups; g++) {
    k.rows(r);
    r.A += filters * T;
    r.X += x.C / o.groups * x.plane;
    if (b) r.bias += filters;
    r.out += filters * y.plane;
  }
}

void Run::conv_dx(const Operation& o, const Taps& taps, int64_t i) const {
  const Map dy = map(o.x, i), dx = map(o.y, i);
  const Map mask = o.z >= 0 ? map(o.z, i) : Map{};
  const int64_t phases = o.down * o.across, channels = dx.C / phases / o.groups;
  Rows r{channels, 0, (dx.H - 1) * dx.pitch + dx.W, nullptr, memory(value(o.packed), 0), 0, 0,
         dy.data, nullptr, nullptr, false, nullptr, mask.plane * phases, nullptr, dx.plane * phases};
  for (int64_t g = 0; g < o.groups; g++) {
    for (int64_t phase = 0; phase < phases; phase++) {
      const int64_t plane = g * channels * phases + phase;
      r.T = (int64_t)taps.back[phase].size();
      r.off = taps.back[phase].data();
      r.out = dx.data + plane * dx.plane;
      r.mask = mask.data ? mask.data + plane * mask.plane : nullptr;
      k.rows(r);
      r.A += channels * r.T;
    }
    r.X += o.filters / o.groups * dy.plane;
  }
}

void Run::conv_dw(const Operation& o, const Taps& taps, int64_t i) const {
  const Map x = map(o.x, i), dy = map(o.y, i);
  const int64_t filters = o.filters / o.groups, T = (int64_t)taps.off.size();
  const int64_t L = (dy.H - 1) * dy.pitch + dy.W;
  float* packed = o.packed >= 0 ? memory(value(o.packed), 0) : nullptr;  // first the sums
  float *sums = packed ? packed : grad(o.w), *flipped = packed + o.filters * T;
  if (o.winograd) winograd_dw(o, taps, i);
  for (int64_t g = 0; g < (o.winograd ? 0 : o.groups); g++) {
    Dots d{filters, T, L, dy.data + g * filters * dy.plane, dy.plane,
           x.data + g * (x.C / o.groups) * x.plane, taps.off.data(), sums + g * filters * T, T, i > 0};
    if (packed) {
      k.transpose(filters, L, d.D, dy.plane, flipped, filters);
      d.D = flipped;
      d.ldo = filters;
      k.outer(d);
      if (i == call.n - 1) k.transpose(T, filters, d.out, filters, grad(o.w) + g * filters * T, T);
    } else {
      k.dots(d);
    }
  }
  if (o.b < 0) return;
  float* db = grad(o.b);
  if (p.weights[o.b] == o.filters) {
    if (i == 0) std::memset(db, 0, o.filters * sizeof(float));
    k.plane_sums(o.filters, L, dy.data, dy.plane, db);
  } else {
    const Map sum{db, dy.C, dy.H, dy.W, dy.W, dy.H * dy.W};
    for (int64_t c = 0; c < dy.C; c++)
      for (int64_t h = 0; h < dy.H; h++)
        for (int64_t w = 0; w < dy.W; w++) {
          float& s = sum.data[(c * dy.H + h) * dy.W + w];
          s = (i ? s : 0.0f) + dy.data[c * dy.plane + h * dy.pitch + w];
        }
  }
}

void Run::depthwise(const Operation& o, const Taps& taps, int64_t i) const {
  const bool back = o.code == DEPTHWISE_DX;
  const Map x = map(back ? o.y : o.x, i), y = map(back ? o.x : o.y, i);
  const Depthwise d{planes_of(o, y.H, y.W), (int64_t)taps.off.size(), taps.off.data(), x, y,
                    weight(o.w), weight(o.b), o.form == RELU, memory(value(o.packed), 0)};
  if (o.code == DEPTHWISE) k.depthwise(d);
  else if (back) k.depthwise_dx(d);
  else k.depthwise_dw(d, grad(o.w), o.b < 0 ? nullptr : grad(o.b), i > 0);
}

void Run::each(const Operation& o, int64_t i) const {
  const Map y = map(o.y, i);
  const Map b = o.b >= 0 ? map(o.b, i) : Map{}, at = o.z >= 0 ? map(o.z, i) : Map{};
  const Map bias{const_cast<float*>(weight(o.w)), y.C, y.H, y.W, y.W, y.H * y.W};
  k.each({o.form, o.share, map(o.x, i), b.data ? &b : nullptr, bias.data ? &bias : nullptr,
          at.data ? &at : nullptr, y});
}

void Run::pool(const Operation& o, int64_t i) const {
  const bool back = o.code == POOL_BACK;
  auto* where = o.z >= 0 ? reinterpret_cast<uint8_t*>(memory(value(o.z), i)) : nullptr;
  const Map x = map(o.x, i), y = map(o.y, i);
  const Pool pool{(Kind)o.kind, o.kh, o.kw, o.down, o.across, o.top, o.left, o.form == RELU,
                  x, y, where};
  if (back) k.pool_back(pool, x, y);
  else k.pool(pool);
}

void Run::phases(const Operation& o, int64_t i) const {
  const bool merge = o.code == MERGE;
  const Map x = map(merge ? o.y : o.x, i), y = map(merge ? o.x : o.y, i);
  if (!merge) std::memset(memory(value(o.y), i), 0, value(o.y).size * sizeof(float));
  for (int64_t c = 0; c < x.C; c++)
    for (int64_t h = 0; h < x.H; h++) {
      const int64_t down = (h + o.top) % o.down, at = (h + o.top) / o.down;
      for (int64_t w = 0; w < x.W; w++) {
        const int64_t across = (w + o.left) % o.across;
        const int64_t plane = (c * o.down + down) * o.across + across;
        float& whole = x.data[c * x.plane + h * x.pitch + w];
        float& part = y.data[plane * y.plane + at * y.pitch + (w + o.left) / o.across];
        if (merge) whole = part;
        else part = whole;
      }
    }
}

void Run::prepare(const Operation& o, const Taps& taps) const {
  if (o.code == CONV || o.code == CONV_DX) pack(o, taps);
}

void Run::image(const Operation& o, const Taps& taps, int64_t i) const {
  switch (o.code) {
    case CONV: o.winograd ? winograd(o, taps, i) : conv(o, taps, i); break;
    case CONV_DX: o.winograd ? winograd(o, taps, i) : conv_dx(o, taps, i); break;
    case CONV_DW: conv_dw(o, taps, i); return;  // it writes no value
    case DEPTHWISE: case DEPTHWISE_DX: depthwise(o, taps, i); break;
    case DEPTHWISE_DW: depthwise(o, taps, i); return;
    case EACH: each(o, i); break;
    case SCALE: k.scale(map(o.x, i), map(o.z, i).data, map(o.y, i)); break;
    case SCALE_BACK: k.scale_back(map(o.x, i), map(o.z, i), map(o.y, i).data); break;
    case POOL: case POOL_BACK: pool(o, i); break;
    case SPLIT: case MERGE: phases(o, i); break;
    case SOFTMAX: {
      const Map x = map(o.x, i);
      k.softmax(x.C * x.H * x.W, x.data, map(o.y, i).data);
      break;
    }
    case SOFTMAX_BACK: {
      const Map dy = map(o.x, i);
      k.softmax_back(dy.C * dy.H * dy.W, map(o.z, i).data, dy.data, map(o.y, i).data);
      break;
    }
    default: break;
  }
  if (value(o.y).framed) frame(value(o.y), i);
}

void Run::square(const Operation& o) const {
  const Value &x = value(o.x), &y = value(o.y);
  const bool back = o.code == SQUARE_DX;
  const Map from = map(o.x, 0), to = map(o.y, 0);
  const Room room(SquareRoom(from, to, o.code == SQUARE_DW ? MOST_TILES_BACK : MOST_TILES).total);
  const Square s{call.n, from, to, x.step, y.step, back ? 2 - o.top : o.top,
                 back ? 2 - o.left : o.left, back, weight(o.w),
                 o.code == SQUARE ? weight(o.b) : nullptr, o.form == RELU, room.data()};
  if (o.code != SQUARE_DW) return k.square(s);
  k.square_dw(s, grad(o.w));
  if (o.b < 0) return;
  std::memset(grad(o.b), 0, y.C * sizeof(float));
  for (int64_t i = 0; i < call.n; i++)
    k.plane_sums(y.C, (y.H - 1) * y.pitch + y.W, s.y.data + i * y.step, y.plane, grad(o.b));
}

void Run::batch(const Operation& o, const Taps& taps) const {
  const int64_t xs = value(o.x).step, ys = value(o.y).step;
  const Map x = map(o.x, 0), y = map(o.y, 0);
  const int64_t n = call.n, I = x.C * x.H * x.W, U = y.C * y.H * y.W;
  if (o.code == DENSE) {
    k.rows({n, I, U, taps.off.data(), x.data, 1, xs, weight(o.w), nullptr, weight(o.b),
            o.form == RELU, nullptr, 0, y.data, ys});
  } else if (o.code == DENSE_DX && n < FEW) {  // x is dy here, and y is dx
    k.dots({n, U, I, x.data, xs, weight(o.w), taps.off.data(), y.data, ys, false});
  } else if (o.code == DENSE_DX) {  // vectors lie across the images, and W is read as it lies
    float *turned = memory(value(o.packed), 0), *out = turned + n * xs;
    std::vector<int64_t> off(I);
    for (int64_t i = 0; i < I; i++) off[i] = i * n;
    k.transpose(n, I, x.data, xs, turned, n);
    k.rows({U, I, n, off.data(), weight(o.w), 1, I, turned, nullptr, nullptr, false, nullptr,
            0, out, n});
    k.transpose(U, n, out, n, y.data, ys);
  } else {
    std::vector<int64_t> off(n);
    for (int64_t i = 0; i < n; i++) off[i] = i * ys;
    k.rows({I, n, U, off.data(), x.data, xs, 1, y.data, nullptr, nullptr, false, nullptr, 0,
            grad(o.w), U});
    if (o.b < 0) return;
    float* db = grad(o.b);
    std::memcpy(db, y.data, U * sizeof(float));
    for (int64_t i = 1; i < n; i++)
      for (int64_t u = 0; u < U; u++) db[u] += y.data[i * ys + u];
  }
}

void Run::all() const {
  const auto& list = half.operations;
  for (size_t from = 0, to; from < list.size(); from = to) {
    to = from + 1;
    if (list[from].code >= DENSE) {
      const Operation& o = list[from];
      o.code < SQUARE ? batch(o, half.taps[from]) : square(o);
      if (o.code == SQUARE || o.code == SQUARE_DX)
        for (int64_t i = 0; i < call.n && value(o.y).framed; i++) frame(value(o.y), i);
      continue;
    }
    while (to < list.size() && list[to].code < DENSE) to++;
    for (size_t j = from; j < to; j++) prepare(list[j], half.taps[j]);
    for (int64_t i = 0; i < call.n; i++)
      for (size_t j = from; j < to; j++) image(list[j], half.taps[j], i);
  }
}

}  // namespace

void Program::run(int which, const Call& call, const Kernels& k) const {
  const Half& half = halves[which];
  auto demand = [](bool holds, const char* what) { if (!holds) throw Refused(what); };
  demand(call.n >= 1 && call.n <= (int64_t(1) << 20), "images are none or too many");
  demand(call.spaces[ARENA].size >= fixed + call.n * per_image, "the arena is too small");
  const int64_t sizes[] = {0, input, output, output, input};
  for (const Value& v : half.values)
    demand(v.space == ARENA || call.spaces[v.space].size == call.n * sizes[v.space],
           "input or output is of another size");
  for (size_t i = 0; i < weights.size(); i++) {
    demand(call.weights[i].size == weights[i], "a weight is of another size");
    demand(!call.grads || call.grads[i].size == weights[i], "a gradient is of another size");
  }
  for (const Operation& o : half.operations)
    demand(call.grads || !gives_gradient(o.code), "there is no room for gradients");
  Run{*this, half, call, k}.all();
}

}  // namespace cnnkit
