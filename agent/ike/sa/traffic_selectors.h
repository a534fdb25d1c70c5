// Narrowing of traffic selectors, RFC 7296 section 2.9.
#ifndef ESPALIER_AGENT_IKE_SA_TRAFFIC_SELECTORS_H_
#define ESPALIER_AGENT_IKE_SA_TRAFFIC_SELECTORS_H_

#include <optional>
#include <vector>

#include "agent/ike/wire/ts.h"

namespace espalier::ike {

// A union of selectors.
using TrafficSelectors = std::vector<wire::TrafficSelector>;

// 0.0.0.0/0 and ::/0: what agents offer and accept; who may talk to whom is decided in the datapath.
TrafficSelectors AllTraffic();

// What both cover; nothing if they have no packet in common. Ports ANY hold every port and OPAQUE, OPAQUE only itself
// (RFC 7296 section 3.13.1).
std::optional<wire::TrafficSelector> Intersect(const wire::TrafficSelector& a, const wire::TrafficSelector& b);
bool Contains(const wire::TrafficSelector& outer, const wire::TrafficSelector& inner);

// The largest subset of `offered` inside `allowed`, in the order offered, none contained in another. It holds the first
// selector offered wherever that is allowed at all. Empty: TS_UNACCEPTABLE.
TrafficSelectors Narrow(const TrafficSelectors& offered, const TrafficSelectors& allowed);

// Whether each selector of `answer` lies inside one of `offer`, and there is one (IKE-068).
bool Within(const TrafficSelectors& answer, const TrafficSelectors& offer);

}  // namespace espalier::ike

#endif  // ESPALIER_AGENT_IKE_SA_TRAFFIC_SELECTORS_H_
