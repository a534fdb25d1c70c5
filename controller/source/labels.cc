#include "controller/source/labels.h"

#include <algorithm>

namespace espalier::source {

const std::vector<absl::string_view>& PerPodLabels() {
  static const auto* const kLabels = new std::vector<absl::string_view>{
      "apps.kubernetes.io/pod-index",
      "batch.kubernetes.io/controller-uid",
      "batch.kubernetes.io/job-completion-index",
      "batch.kubernetes.io/job-name",
      "controller-revision-hash",
      "controller-uid",
      "job-name",
      "pod-template-generation",
      "pod-template-hash",
      "statefulset.kubernetes.io/pod-name",
  };
  return *kLabels;
}

bool IsPerPodLabel(absl::string_view key) {
  return std::binary_search(PerPodLabels().begin(), PerPodLabels().end(), key);
}

}  // namespace espalier::source
