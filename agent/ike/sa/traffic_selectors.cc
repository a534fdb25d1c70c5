#include "agent/ike/sa/traffic_selectors.h"

#include <algorithm>

namespace espalier::ike {

using wire::TrafficSelector;

namespace {
constexpr size_t kMostSelectors = 64;  // ours; RFC 7296 section 2.9 lets a responder narrow for its own reasons
}

TrafficSelectors AllTraffic() { return {TrafficSelector::All4(), TrafficSelector::All6()}; }

std::optional<TrafficSelector> Intersect(const TrafficSelector& a, const TrafficSelector& b) {
  if (a.first.is_v6() != b.first.is_v6()) return std::nullopt;
  if (a.protocol != 0 && b.protocol != 0 && a.protocol != b.protocol) return std::nullopt;
  TrafficSelector out;
  out.protocol = a.protocol != 0 ? a.protocol : b.protocol;
  if (a.opaque_port() || b.opaque_port()) {
    if (!(a.opaque_port() || a.any_port()) || !(b.opaque_port() || b.any_port())) return std::nullopt;
    out.start_port = 65535;
    out.end_port = 0;
  } else {
    out.start_port = std::max(a.start_port, b.start_port);
    out.end_port = std::min(a.end_port, b.end_port);
    if (out.start_port > out.end_port) return std::nullopt;
  }
  out.first = std::max(a.first, b.first);
  out.last = std::min(a.last, b.last);
  if (out.last < out.first) return std::nullopt;
  return out;
}

bool Contains(const TrafficSelector& outer, const TrafficSelector& inner) {
  std::optional<TrafficSelector> both = Intersect(outer, inner);
  return both.has_value() && *both == inner;
}

TrafficSelectors Narrow(const TrafficSelectors& offered, const TrafficSelectors& allowed) {
  TrafficSelectors out;
  for (const TrafficSelector& o : offered) {
    for (const TrafficSelector& a : allowed) {
      std::optional<TrafficSelector> both = Intersect(o, a);
      if (!both.has_value()) continue;
      if (std::ranges::any_of(out, [&](const TrafficSelector& t) { return Contains(t, *both); })) continue;
      std::erase_if(out, [&](const TrafficSelector& t) { return Contains(*both, t); });
      if (out.size() < kMostSelectors) out.push_back(*both);
    }
  }
  return out;
}

bool Within(const TrafficSelectors& answer, const TrafficSelectors& offer) {
  return !answer.empty() && std::ranges::all_of(answer, [&](const TrafficSelector& a) {
    return std::ranges::any_of(offer, [&](const TrafficSelector& o) { return Contains(o, a); });
  });
}

}  // namespace espalier::ike
