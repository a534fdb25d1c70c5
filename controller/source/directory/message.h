// Values to protobuf messages by proto3 JSON, refusing what the message does not know.
#ifndef ESPALIER_CONTROLLER_SOURCE_DIRECTORY_MESSAGE_H_
#define ESPALIER_CONTROLLER_SOURCE_DIRECTORY_MESSAGE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "controller/source/directory/value.h"
#include "controller/source/problem.h"
#include "google/protobuf/message.h"

namespace espalier::source {

// Fills `message`. Every unknown field and wrong type is a problem with its field path and line (`object` is put into
// each), and then `message` is left alone. A null is as good as absent.
std::vector<Problem> ToMessage(const Value& value, absl::string_view object, google::protobuf::Message* message);

}  // namespace espalier::source

#endif  // ESPALIER_CONTROLLER_SOURCE_DIRECTORY_MESSAGE_H_
