// Which labels of a pod Espalier does not look at.
#ifndef ESPALIER_CONTROLLER_SOURCE_LABELS_H_
#define ESPALIER_CONTROLLER_SOURCE_LABELS_H_

#include <vector>

#include "absl/strings/string_view.h"

namespace espalier::source {

// The label that Kubernetes puts on every namespace, with its name as the value.
inline constexpr char kNamespaceNameLabel[] = "kubernetes.io/metadata.name";

// Labels that controllers set and that differ from pod to pod or from rollout to rollout; with them every pod would be
// an identity of its own. Policies that select by them are refused.
const std::vector<absl::string_view>& PerPodLabels();
bool IsPerPodLabel(absl::string_view key);

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_LABELS_H_
