#include "controller/source/directory/directory_files.h"

#include <openssl/evp.h>

#include <algorithm>
#include <tuple>
#include <type_traits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "controller/source/validate.h"
#include "google/protobuf/util/message_differencer.h"

namespace espalier::source {
namespace {

std::string Digest(absl::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  return std::string(reinterpret_cast<const char*>(digest), size);
}

template <typename T>
constexpr bool kIsMessage = std::is_base_of_v<google::protobuf::Message, std::remove_const_t<T>>;

template <typename T>
bool SameContent(const T& a, const T& b) {
  if constexpr (kIsMessage<T>) {
    return google::protobuf::util::MessageDifferencer::Equals(a, b);
  } else {
    return a == b;
  }
}

bool SameObject(const AnyObject& a, const AnyObject& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&b](const auto& object) {
        using P = std::decay_t<decltype(object)>;
        if constexpr (std::is_same_v<P, std::monostate>) {
          return true;
        } else {
          const P& other = std::get<P>(b);
          return object == other || SameContent(*object, *other);
        }
      },
      a);
}

const v1alpha1::PolicySpec* SpecOf(const AnyObject& object) {
  if (const auto* p = std::get_if<std::shared_ptr<const v1alpha1::EncryptionPolicy>>(&object)) return &(*p)->spec();
  if (const auto* p = std::get_if<std::shared_ptr<const v1alpha1::ClusterEncryptionPolicy>>(&object)) {
    return &(*p)->spec();
  }
  return nullptr;
}

// The table of one kind, with the old one kept where nothing differs.
template <typename T>
TablePtr<T> MakeTable(const std::map<ObjectKey, AnyObject>& objects, const TablePtr<T>& before) {
  auto table = std::make_shared<Table<T>>();
  for (const auto& [key, object] : objects) {
    if (const auto* p = std::get_if<std::shared_ptr<const T>>(&object)) {
      table->emplace_hint(table->end(), TableKey(key.ns, key.name), *p);
    }
  }
  if (*table == *before) return before;
  return table;
}

std::string Objects(size_t n) {
  return n == 1 ? "the object that it had stays" : absl::StrCat("the ", n, " objects that it had stay");
}

}  // namespace

bool IsObjectFile(absl::string_view name) {
  return !name.empty() && name.front() != '.' &&
         (absl::EndsWith(name, ".yaml") || absl::EndsWith(name, ".yml") || absl::EndsWith(name, ".json"));
}

void DirectoryFiles::Put(const std::string& name, absl::string_view text) {
  File& file = files_[name];
  std::string digest = Digest(text);
  if (file.read && digest == file.text_digest) return;
  if (!file.objects.empty() && absl::StripAsciiWhitespace(text).empty()) {
    PutUnreadable(name, Severity::kError, "is empty, as if cut off",
                  "write it again, or delete it to remove its objects");
    return;
  }
  dirty_ = true;
  DecodedFile decoded = DecodeFile(text);
  file.read = true;
  file.text_digest = std::move(digest);
  file.problems = std::move(decoded.problems);
  for (Problem& problem : file.problems) {
    problem.file = name;
    if (!file.objects.empty()) {
      problem.in_force =
          absl::StrCat("the file is taken whole or not at all: ", Objects(file.objects.size()), " in force");
    } else {
      problem.in_force = "the file is taken whole or not at all: nothing of it is in force";
    }
  }
  if (!decoded.whole) return;
  file.objects = std::move(decoded.objects);
  for (DecodedObject& object : file.objects) {
    for (Problem& problem : object.problems) problem.file = name;
  }
  file.ignored = std::move(decoded.ignored);
}

void DirectoryFiles::PutUnreadable(const std::string& name, Severity severity, std::string message,
                                   std::string remedy) {
  File& file = files_[name];
  file.text_digest.clear();
  Problem p;
  p.severity = severity;
  p.file = name;
  p.message = std::move(message);
  p.remedy = std::move(remedy);
  if (!file.objects.empty()) p.in_force = absl::StrCat(Objects(file.objects.size()), " in force");
  std::vector<Problem> problems = {std::move(p)};
  if (problems == file.problems) return;
  file.problems = std::move(problems);
  dirty_ = true;
}

void DirectoryFiles::Remove(const std::string& name) {
  if (files_.erase(name) > 0) dirty_ = true;
}

std::set<std::string> DirectoryFiles::names() const {
  std::set<std::string> out;
  for (const auto& [name, file] : files_) out.insert(name);
  return out;
}

// One merge, in stages: 1. the first of each name, or its last valid version; 2. what depends on the mesh; 3. the old
// pointers where nothing changed, and generations.
class DirectoryFiles::Merger {
 public:
  explicit Merger(DirectoryFiles* of) : of_(*of) {}

  Update Run() {
    for (const auto& [name, file] : of_.files_) {
      problems_.insert(problems_.end(), file.problems.begin(), file.problems.end());
      for (const DecodedObject& object : file.objects) Take(name, object);
    }
    CheckInMesh();
    Settle();
    Notes();
    Update update;
    update.objects = Store();
    const auto place = [](const Problem& p) {
      return std::tie(p.file, p.document, p.line, p.object, p.field, p.value, p.message, p.remedy, p.in_force);
    };
    std::sort(problems_.begin(), problems_.end(),
              [&place](const Problem& a, const Problem& b) { return place(a) < place(b); });
    problems_.erase(std::unique(problems_.begin(), problems_.end()), problems_.end());
    update.problems = std::move(problems_);
    return update;
  }

 private:
  void Take(const std::string& file, const DecodedObject& decoded) {
    const auto first = places_.find(decoded.key);
    if (first != places_.end()) {
      Problem p;
      p.file = file;
      p.document = decoded.document;
      p.line = decoded.line;
      p.object = decoded.key.ToString();
      p.message = absl::StrCat("is also in ", first->second.file, " (document ", first->second.document,
                               "), which comes first and wins");
      p.remedy = "remove or rename one of the two";
      p.in_force = absl::StrCat("the one in ", first->second.file, " is in force, this one is not");
      problems_.push_back(std::move(p));
      return;
    }
    AnyObject object = decoded.object;
    if (std::holds_alternative<std::monostate>(object)) {
      const AnyObject* last = LastGood(decoded.key);
      AddProblems(decoded.problems, last != nullptr);
      if (last == nullptr) return;
      object = *last;
    }
    places_[decoded.key] = {file, decoded.document};
    lines_[decoded.key] = decoded.line;
    next_[decoded.key] = std::move(object);
  }

  const AnyObject* LastGood(const ObjectKey& key) const {
    const auto found = of_.in_force_.find(key);
    return found == of_.in_force_.end() ? nullptr : &found->second;
  }

  void AddProblems(const std::vector<Problem>& problems, bool has_last_good) {
    for (Problem problem : problems) {
      problem.in_force = has_last_good ? "its last valid version stays in force" : "the object is not in force";
      problems_.push_back(std::move(problem));
    }
  }

  void CheckInMesh() {
    std::vector<IpPrefix> mesh;
    for (const auto& [key, object] : next_) {
      if (const auto* node = std::get_if<std::shared_ptr<const Node>>(&object)) {
        mesh.insert(mesh.end(), (*node)->pod_cidrs.begin(), (*node)->pod_cidrs.end());
      }
    }
    std::sort(mesh.begin(), mesh.end());
    for (auto it = next_.begin(); it != next_.end();) {
      const auto current = it++;
      const v1alpha1::PolicySpec* spec = SpecOf(current->second);
      if (spec == nullptr) continue;
      std::vector<Problem> found = ValidateInMesh(*spec, current->first.ToString(), mesh);
      if (found.empty()) continue;
      const Place& place = places_[current->first];
      for (Problem& problem : found) {
        problem.file = place.file;
        problem.document = place.document;
        problem.line = lines_[current->first];
      }
      const AnyObject* last = LastGood(current->first);
      AddProblems(found, last != nullptr);
      if (last != nullptr) {
        current->second = *last;
      } else {
        next_.erase(current);
      }
    }
  }

  void Settle() {
    for (auto& [key, object] : next_) {
      const AnyObject* before = LastGood(key);
      SetGeneration<v1alpha1::EncryptionPolicy>(key, before, &object);
      SetGeneration<v1alpha1::ClusterEncryptionPolicy>(key, before, &object);
      SetGeneration<v1alpha1::EncryptionProfile>(key, before, &object);
      if (before != nullptr && SameObject(*before, object)) object = *before;
    }
    of_.in_force_ = std::move(next_);
  }

  // An object without a generation gets one that grows with its changes, as an API server gives it.
  template <typename T>
  void SetGeneration(const ObjectKey& key, const AnyObject* before, AnyObject* object) {
    auto* const now = std::get_if<std::shared_ptr<const T>>(object);
    if (now == nullptr || (*now)->metadata().generation() != 0) return;
    const auto* const old = before == nullptr ? nullptr : std::get_if<std::shared_ptr<const T>>(before);
    int& generation = of_.generations_[key];
    const bool same = old != nullptr && SameContent((*old)->spec(), (*now)->spec());
    if (!same || generation == 0) ++generation;
    auto numbered = std::make_shared<T>(**now);
    numbered->mutable_metadata()->set_generation(generation);
    *now = std::move(numbered);
  }

  void Notes() {
    std::map<std::string, std::pair<int, std::string>> kinds;  // count, first file
    for (const auto& [name, file] : of_.files_) {
      for (const auto& [kind, count] : file.ignored) {
        auto& entry = kinds[kind];
        entry.first += count;
        if (entry.second.empty()) entry.second = name;
      }
    }
    for (const auto& [kind, entry] : kinds) {
      Problem p;
      p.severity = Severity::kNote;
      p.file = entry.second;
      p.value = kind;
      p.message = absl::StrCat("is a kind that Espalier does not read: ", entry.first,
                               entry.first == 1 ? " object" : " objects", " ignored");
      problems_.push_back(std::move(p));
    }
  }

  std::shared_ptr<const ObjectStore> Store() {
    const ObjectStore& before = *of_.store_;
    auto store = std::make_shared<ObjectStore>();
    const auto& objects = of_.in_force_;
    store->nodes = MakeTable(objects, before.nodes);
    store->namespaces = MakeTable(objects, before.namespaces);
    store->pods = MakeTable(objects, before.pods);
    store->services = MakeTable(objects, before.services);
    store->service_accounts = MakeTable(objects, before.service_accounts);
    store->policies = MakeTable(objects, before.policies);
    store->cluster_policies = MakeTable(objects, before.cluster_policies);
    store->profiles = MakeTable(objects, before.profiles);
    const bool same = store->nodes == before.nodes && store->namespaces == before.namespaces &&
                      store->pods == before.pods && store->services == before.services &&
                      store->service_accounts == before.service_accounts && store->policies == before.policies &&
                      store->cluster_policies == before.cluster_policies && store->profiles == before.profiles;
    if (!same) of_.store_ = std::move(store);
    return of_.store_;
  }

  DirectoryFiles& of_;
  std::map<ObjectKey, AnyObject> next_;
  std::map<ObjectKey, Place> places_;
  std::map<ObjectKey, int> lines_;
  std::vector<Problem> problems_;
};

Update DirectoryFiles::Merge() {
  if (dirty_) last_ = Merger(this).Run();
  dirty_ = false;
  return last_;
}

}  // namespace espalier::source
