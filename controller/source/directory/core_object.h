// Reads what Espalier needs of a core kind's object; other fields are none of its business.
#ifndef ESPALIER_CONTROLLER_SOURCE_DIRECTORY_CORE_OBJECT_H_
#define ESPALIER_CONTROLLER_SOURCE_DIRECTORY_CORE_OBJECT_H_

#include "controller/source/directory/decode.h"
#include "controller/source/directory/value.h"

namespace espalier::source {

// Is this kind (of apiVersion v1) one that Espalier reads, and has it a namespace?
bool IsCoreKind(absl::string_view kind);
bool IsClusterWide(absl::string_view kind);

// Fills `out->object` from a mapping of the kind that out->key names, or out->problems.
void DecodeCoreObject(const Value& value, DecodedObject* out);

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_DIRECTORY_CORE_OBJECT_H_
