#ifndef ESPALIER_AGENT_VERSION_H_
#define ESPALIER_AGENT_VERSION_H_

namespace espalier {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace espalier

#endif  // ESPALIER_AGENT_VERSION_H_
