// All checks of a program's numbers, and the offsets that follow from them.
#include <algorithm>
#include <cstring>

#include "program.h"

namespace cnnkit {
namespace {

constexpr int64_t SIDE = int64_t(1) << 24;  // no count of rows, planes or weights is beyond it,
constexpr int64_t PLACE = int64_t(1) << 40; // no place, so products and sums of both fit 64 bits
constexpr int64_t ROOM = int64_t(1) << 29;  // and no call takes so many numbers

void demand(bool holds, const std::string& what) {
  if (!holds) throw Refused(what);
}

struct Reader {
  const int64_t* at;
  const int64_t* end;
  int64_t next(int64_t low, int64_t high, const char* what) {
    demand(at < end, "it ends early");
    demand(*at >= low && *at <= high, std::string(what) + " is " + std::to_string(*at));
    return *at++;
  }
};

Value read_value(Reader& r) {
  Value v;
  v.space = r.next(ARENA, SPACES - 1, "a space");
  int64_t* places[] = {&v.fixed, &v.per_image, &v.step, &v.size};
  for (int64_t* place : places) *place = r.next(0, PLACE, "a place");
  int64_t* sides[] = {&v.C, &v.H, &v.W, &v.pitch, &v.plane};
  for (int64_t* side : sides) *side = r.next(1, SIDE, "a side");
  v.first = r.next(0, PLACE, "a place");
  v.framed = r.next(0, 1, "a flag");
  return v;
}

void check_value(const Value& v, const Program& p) {
  demand(v.pitch >= v.W && (v.C == 1 || v.plane >= (v.H - 1) * v.pitch + v.W), "rows overlap");
  demand(v.first + (v.C - 1) * v.plane + (v.H - 1) * v.pitch + v.W <= v.size,
         "a map is larger than its memory");
  if (v.space == ARENA) {  // linear in n: it holds for one image, and for each one more
    demand(v.per_image + v.step <= p.per_image &&
               v.fixed + v.per_image + v.size <= p.fixed + p.per_image,
           "a value lies outside the arena");
  } else {
    const int64_t size = v.space == X || v.space == DX ? p.input : p.output;
    const bool plain = v.pitch == v.W && (v.C == 1 || v.plane == v.H * v.W);
    demand(plain && !v.fixed && !v.per_image && !v.first && !v.framed, "input or output is padded");
    demand(v.size == size && v.step == size && v.C * v.H * v.W == size,
           "input or output is of another size");
  }
}

Operation read_operation(Reader& r, const Program& p, const Half& half) {
  const int64_t values = (int64_t)half.values.size() - 1, weights = (int64_t)p.weights.size() - 1;
  Operation o;
  o.code = r.next(0, CODES - 1, "a code");
  o.x = r.next(0, values, "a value");
  o.y = r.next(0, values, "a value");
  o.z = r.next(-1, values, "a value");
  o.w = r.next(-1, weights, "a weight");
  o.b = r.next(-1, o.code == EACH ? values : weights, "a weight");
  o.packed = r.next(-1, values, "a value");
  o.form = r.next(COPY, SLOPE + FORMS - 1, "a form");
  int64_t* sides[] = {&o.filters, &o.kh, &o.kw, &o.down, &o.across, &o.row_step, &o.column_step};
  for (int64_t* side : sides) *side = r.next(1, SIDE, "a side");
  o.top = r.next(0, SIDE, "a side");
  o.left = r.next(0, SIDE, "a side");
  o.groups = r.next(1, SIDE, "a count");
  o.kind = r.next(MAX, MEAN, "a kind");
  o.winograd = r.next(0, 1, "a flag");
  const uint32_t share = (uint32_t)r.next(0, UINT32_MAX, "a share");
  std::memcpy(&o.share, &share, sizeof share);
  return o;
}

bool alike(const Value& a, const Value& b) { return a.C == b.C && a.H == b.H && a.W == b.W; }
bool in_a_row(const Value& v) {
  return (v.H == 1 || v.pitch == v.W) && (v.C == 1 || v.plane == v.H * v.W);
}
int64_t count(const Value& v) { return v.C * v.H * v.W; }
int64_t line(const Value& v) { return (v.H - 1) * v.pitch + v.W; }

void check_weight(const Program& p, int64_t number, int64_t size) {
  demand(number >= 0 && p.weights[number] == size, "a weight is of another size");
}

// Where the reads at `off` + [0, length) from v.first on end up, for `stacks` stacks of planes.
void check_reach(const Value& v, const std::vector<int64_t>& off, int64_t shift, int64_t length) {
  if (off.empty()) return;
  const auto [least, most] = std::minmax_element(off.begin(), off.end());
  demand(v.first + *least >= 0 && v.first + shift + *most + length <= v.size,
         "a convolution reaches outside its map");
}

// x: maps, one for each phase of the stride; y: results, of the same pitch.
Taps conv_taps(const Operation& o, const Value& x, const Value& y) {
  const int64_t phases = o.down * o.across, area = o.kh * o.kw;
  demand(phases <= SIDE && area <= SIDE && x.C % (phases * o.groups) == 0 &&
             o.filters % o.groups == 0 && y.C == o.filters,
         "channels, filters and groups do not match");
  demand(x.pitch == y.pitch, "pitches differ");
  const int64_t channels = x.C / phases / o.groups, filters = o.filters / o.groups;
  demand(channels * area <= SIDE && filters * area <= SIDE && o.kh * o.row_step <= SIDE &&
             o.kw * o.column_step <= SIDE,
         "a kernel is too large");
  Taps taps;
  taps.back.resize(phases);
  taps.back_at.resize(phases);
  auto each = [&](int64_t stacks, auto take) {
    for (int64_t s = 0; s < stacks; s++)
      for (int64_t k = 0; k < area; k++) {
        const int64_t h = k / o.kw * o.row_step, w = k % o.kw * o.column_step;
        const int64_t phase = h % o.down * o.across + w % o.across;
        const int64_t shift = (h / o.down - o.top) * x.pitch + w / o.across - o.left;
        take(s, k, phase, shift);
      }
  };
  each(channels, [&](int64_t c, int64_t k, int64_t phase, int64_t shift) {
    taps.off.push_back((c * phases + phase) * x.plane + shift);
    taps.at.push_back(c * area + k);
  });
  each(filters, [&](int64_t f, int64_t k, int64_t phase, int64_t shift) {
    taps.back[phase].push_back(f * y.plane - shift);
    taps.back_at[phase].push_back(f * channels * area + k);
  });
  return taps;
}

// Winograd's rule knows the offsets within one of its six sets of planes, each zero around.
Taps winograd_taps(const Program& p, const Half& half, const Operation& o) {
  const bool back = o.code == CONV_DX;
  const Value &x = half.values[back ? o.y : o.x], &y = half.values[back ? o.x : o.y];
  const Value& to = back ? x : y;
  demand(o.kh == 3 && o.row_step == 1 && o.down == 1 && o.across == 1 && o.groups == 1 &&
             y.C == o.filters && x.pitch == y.pitch && o.kw * o.column_step <= x.pitch &&
             o.left <= x.pitch && o.top <= 2,
         "Winograd's rule does not hold");
  demand(o.kw <= SIDE / x.C && o.kw <= SIDE / y.C, "a kernel is too large");
  const Bands b(o, back ? y.C : x.C, back ? x.C : y.C, to.H, to.pitch);
  const int64_t room = o.code == CONV_DW ? 6 * (b.inside + b.out + b.weights) + b.flipped
                                         : 6 * (b.inside + b.out + b.weights);
  demand(b.in <= PLACE && b.out <= PLACE && b.weights <= PLACE, "a map is too large");
  demand(o.packed >= 0 && half.values[o.packed].space == ARENA &&
             half.values[o.packed].size >= room,
         "there is no room for Winograd's rule");
  demand(o.code != CONV_DW || o.filters % 16 == 0, "filters fill no vectors");
  check_weight(p, o.w, o.filters * x.C * 3 * o.kw);
  Taps taps;
  const int64_t plane = b.count * x.pitch;
  for (int64_t s = 0; s < (back ? y.C : x.C); s++)
    for (int64_t k = 0; k < o.kw; k++) {
      const int64_t shift = k * o.column_step - o.left;
      taps.off.push_back(s * plane + (back ? -shift : shift));
      taps.at.push_back(back ? (s * x.C * 3 + 2) * o.kw + k : s * 3 * o.kw + k);
    }
  return taps;
}

Taps check_conv(const Program& p, const Half& half, const Operation& o) {
  const bool back = o.code == CONV_DX;
  const Value &x = half.values[back ? o.y : o.x], &y = half.values[back ? o.x : o.y];
  Taps taps = o.winograd ? winograd_taps(p, half, o) : conv_taps(o, x, y);
  const int64_t channels = x.C / (o.down * o.across) / o.groups, filters = o.filters / o.groups;
  const int64_t size = o.filters * channels * o.kh * o.kw;
  check_weight(p, o.w, size);
  if (back)
    for (const auto& off : taps.back)
      check_reach(y, off, (o.groups - 1) * filters * y.plane, line(x));
  else if (!o.winograd)
    check_reach(x, taps.off, (o.groups - 1) * (x.C / o.groups) * x.plane, line(y));
  if (o.winograd) {
    // it saw to its room
  } else if (o.packed >= 0 || o.code != CONV_DW) {  // packed weights; or sums and flipped dy: see `outer`
    const int64_t room = o.code == CONV_DW ? size + filters * line(y) : size;
    demand(o.packed >= 0 && half.values[o.packed].space == ARENA &&
               half.values[o.packed].size >= room,
           "there is no room for packed weights");
    demand(o.code != CONV_DW || filters % 16 == 0, "filters fill no vectors");
  }
  if (o.b >= 0 && !(o.code == CONV_DW && p.weights[o.b] == count(y)))
    check_weight(p, o.b, o.filters);
  if (o.z >= 0) {
    const Value& mask = half.values[o.z];
    demand(back && alike(mask, x) && mask.pitch == x.pitch, "a mask is of another shape");
  }
  return taps;
}

Taps check_depthwise(const Program& p, const Half& half, const Operation& o) {
  const bool back = o.code == DEPTHWISE_DX;
  const Value &x = half.values[back ? o.y : o.x], &y = half.values[back ? o.x : o.y];
  demand(x.C == y.C && o.kh <= MOST_TAPS && o.kw <= MOST_TAPS && o.kh * o.kw <= MOST_TAPS,
         "a depthwise convolution has other channels or too many taps");
  demand(o.down * o.across <= SIDE, "a stride is too large");
  const Planes q = planes_of(o, y.H, y.W);
  demand(q.H <= SIDE && q.W <= SIDE && q.H * q.W <= SIDE, "a plane is too large");
  check_weight(p, o.w, x.C * o.kh * o.kw);
  if (o.b >= 0) check_weight(p, o.b, x.C);
  demand(o.packed >= 0 && half.values[o.packed].space == ARENA &&
             half.values[o.packed].size >= q.room(),
         "there is no room for a plane");
  Taps taps;
  for (int64_t k = 0; k < o.kh * o.kw; k++) {
    const int64_t h = k / o.kw * o.row_step, w = k % o.kw * o.column_step;
    const int64_t phase = h % o.down * o.across + w % o.across;
    taps.off.push_back((phase * q.H + h / o.down) * q.W + w / o.across);
  }
  return taps;
}

void check_each(const Program& p, const Half& half, const Operation& o) {
  const Value& y = half.values[o.y];
  demand(alike(half.values[o.x], y), "shapes differ");
  demand(o.x != o.y && o.b != o.y && o.z != o.y, "it reads what it writes: see `along`");
  if (o.b >= 0) demand(alike(half.values[o.b], y), "shapes differ");
  if (o.w >= 0) check_weight(p, o.w, count(y));
  if (o.z >= 0) demand(alike(half.values[o.z], y), "shapes differ");
  demand((o.form >= SLOPE) == (o.z >= 0), "a slope is not taken where it should be");
}

void check_scale(const Half& half, const Operation& o) {
  demand(o.z >= 0 && o.x != o.y && o.z != o.y, "there is nothing to scale by");
  const bool back = o.code == SCALE_BACK;
  const Value &x = half.values[o.x], &alike_x = half.values[back ? o.z : o.y];
  const Value& by = half.values[back ? o.y : o.z];
  demand(alike(x, alike_x), "shapes differ");
  demand(count(by) == x.C && in_a_row(by), "there is not one number for each channel");
}

void check_pool(const Half& half, const Operation& o) {
  const bool back = o.code == POOL_BACK;
  const Value &x = half.values[back ? o.y : o.x], &y = half.values[back ? o.x : o.y];
  demand(o.kind == MEAN || o.kh * o.kw < NOBODY, "a window is too large");
  demand(x.C == y.C && (y.H - 1) * o.down - o.top < x.H && (y.W - 1) * o.across - o.left < x.W &&
             o.top < o.kh && o.left < o.kw,
         "a window lies outside its map");
  demand(o.z >= 0 || !back || o.kind == MEAN, "nobody noted which cells won");
  if (o.z >= 0) {
    const Value& where = half.values[o.z];
    demand(where.space == ARENA && where.size * 4 >= count(y), "there is no room for the cells");
  }
}

// x is a map, y its phases: rows h of the padded map with h % down alike, and so on.
void check_phases(const Half& half, const Operation& o) {
  const bool merge = o.code == MERGE;
  const Value &x = half.values[merge ? o.y : o.x], &y = half.values[merge ? o.x : o.y];
  demand(y.C == x.C * o.down * o.across && (x.H - 1 + o.top) / o.down < y.H &&
             (x.W - 1 + o.left) / o.across < y.W,
         "phases do not hold the map");
}

void check_dense(const Program& p, const Half& half, const Operation& o) {
  const bool back = o.code == DENSE_DX;
  const Value &x = half.values[back ? o.y : o.x], &y = half.values[back ? o.x : o.y];
  demand(in_a_row(x) && in_a_row(y) && x.step > 0 && y.step > 0, "a dense layer needs rows");
  demand(count(x) <= SIDE && count(y) <= SIDE, "a dense layer is too large");
  check_weight(p, o.w, count(x) * count(y));
  if (o.b >= 0) check_weight(p, o.b, count(y));
  demand(!back || (o.packed >= 0 && half.values[o.packed].space == ARENA &&
                   half.values[o.packed].step >= x.step + y.step),
         "there is no room for rows turned");
}

void check_square(const Program& p, const Half& half, const Operation& o) {
  const Value &x = half.values[o.x], &y = half.values[o.y];
  demand(x.C % 16 == 0 && y.C % 16 == 0, "channels or filters fill no vectors");
  demand(x.C <= SIDE / y.C / 64 && y.H <= SIDE / y.W / 64, "a map or a kernel is too large");
  const int64_t top = o.code == SQUARE_DX ? 2 - o.top : o.top;
  const int64_t left = o.code == SQUARE_DX ? 2 - o.left : o.left;
  const Map in{nullptr, x.C, x.H, x.W, x.pitch, x.plane};
  const Map out{nullptr, y.C, y.H, y.W, y.pitch, y.plane};
  const SquareRoom room(in, out, MOST_TILES);
  demand(top >= 0 && left >= 0 && x.H + top <= 4 * room.down + 2 && x.W + left <= 4 * room.across + 2,
         "a map reaches outside its tiles");
  demand(room.total <= ROOM, "a square form takes too much room");
  demand(x.step > 0 && y.step > 0, "a square form needs all images' maps");
  check_weight(p, o.w, x.C * y.C * 9);
  if (o.b >= 0) check_weight(p, o.b, y.C);
}

void check_softmax(const Half& half, const Operation& o) {
  const Value &x = half.values[o.x], &y = half.values[o.y];
  demand(count(x) == count(y) && in_a_row(x) && in_a_row(y), "softmax needs rows");
  if (o.code == SOFTMAX_BACK)
    demand(o.z >= 0 && count(half.values[o.z]) == count(y) && in_a_row(half.values[o.z]), "no softmax");
}

Taps check(const Program& p, const Half& half, const Operation& o) {
  const int64_t to = half.values[o.y].space;
  const bool writes = !gives_gradient(o.code);
  const bool back = &half != &p.halves[0];
  demand(!writes || to == ARENA || to == (back ? DX : Y), "it writes what it should leave alone");
  for (int64_t read : {o.x, writes ? o.x : o.y, o.z < 0 ? o.x : o.z})
    demand(half.values[read].space <= (back ? DY : X), "it reads what is not there");
  switch (o.code) {
    case CONV: case CONV_DX: case CONV_DW: return check_conv(p, half, o);
    case DEPTHWISE: case DEPTHWISE_DX: case DEPTHWISE_DW: return check_depthwise(p, half, o);
    case EACH: check_each(p, half, o); break;
    case SCALE: case SCALE_BACK: check_scale(half, o); break;
    case POOL: case POOL_BACK: check_pool(half, o); break;
    case SPLIT: case MERGE: check_phases(half, o); break;
    case SOFTMAX: case SOFTMAX_BACK: check_softmax(half, o); break;
    case SQUARE: case SQUARE_DX: case SQUARE_DW: check_square(p, half, o); break;
    default: {
      check_dense(p, half, o);
      const Value& x = half.values[o.code == DENSE_DX ? o.y : o.x];
      const Value& y = half.values[o.code == DENSE_DX ? o.x : o.y];
      Taps taps;
      for (int64_t i = 0; i < count(x); i++) taps.off.push_back(i * count(y));
      return taps;
    }
  }
  return {};
}

}  // namespace

Program Program::parse(const int64_t* numbers, int64_t size) {
  Reader r{numbers, numbers + size};
  Program p;
  p.fixed = r.next(0, PLACE, "the arena");
  p.per_image = r.next(0, PLACE, "the arena");
  const int64_t weights = r.next(0, size, "the count of weights");
  for (int64_t i = 0; i < weights; i++) p.weights.push_back(r.next(0, PLACE, "a weight's size"));
  p.input = r.next(1, PLACE, "the input");
  p.output = r.next(1, PLACE, "the output");
  for (Half& half : p.halves) {
    const int64_t values = r.next(0, size, "the count of values");
    const int64_t operations = r.next(0, size, "the count of operations");
    for (int64_t i = 0; i < values; i++) {
      half.values.push_back(read_value(r));
      check_value(half.values.back(), p);
    }
    for (int64_t i = 0; i < operations; i++) {
      demand(values > 0, "there are no values");
      half.operations.push_back(read_operation(r, p, half));
      half.taps.push_back(check(p, half, half.operations.back()));
    }
  }
  demand(r.at == r.end, "it does not end");
  return p;
}

}  // namespace cnnkit
