#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "controller/source/directory/decode.h"
#include "controller/source/validate.h"

namespace espalier::source {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Said(const std::string& name, const std::string& spec) {
  const DecodedFile file =
      DecodeFile(absl::StrCat("apiVersion: espalier.io/v1alpha1\nkind: EncryptionProfile\nmetadata: "
                              "{name: ",
                              name, "}\nspec: ", spec, "\n"));
  std::vector<std::string> out;
  for (const DecodedObject& object : file.objects) {
    for (const Problem& p : object.problems) {
      out.push_back(absl::StrCat(p.field, ": \"", p.value, "\": ", p.message, "; ", p.remedy));
    }
  }
  return out;
}

TEST(ValidateProfile, AcceptsAll) {
  EXPECT_THAT(Said("default", "{}"), ElementsAre());
  EXPECT_THAT(Said("default",
                   "{esp: [CHACHA20-POLY1305], ike: [AES-256-GCM], postQuantum: false, replayWindow: 64, rekey: "
                   "{time: 2s, bytes: \"1048576\", packets: \"1000\", ikeTime: 4s}, dpdInterval: 1s, "
                   "idleTimeout: 1h30m}"),
              ElementsAre());
}

TEST(ValidateProfile, RefusesWithRemedy) {
  EXPECT_THAT(Said("fast", "{}"),
              ElementsAre("metadata.name: \"fast\": is a second profile, but there is only one for the "
                          "mesh; name it \"default\""));
  EXPECT_THAT(
      Said("default", "{esp: [AES-256-CBC]}"),
      ElementsAre("spec.esp[0]: \"AES-256-CBC\": is not an algorithm that can be chosen; write \"AES-256-GCM\""));
  EXPECT_THAT(Said("default", "{ike: [AES-128-GCM, AES-128-GCM]}"),
              ElementsAre("spec.ike[1]: \"AES-128-GCM\": stands in the list twice; remove one"));
  EXPECT_THAT(Said("default", "{replayWindow: 8192}"),
              ElementsAre("spec.replayWindow: \"8192\": is out of range; write a number of packets from 64 to 4096"));
  EXPECT_THAT(Said("default", "{rekey: {time: 1s, bytes: 1Gi, packets: \"10\", ikeTime: soon}}"),
              ElementsAre("spec.rekey.time: \"1s\": is too short; write a duration from \"2s\" to \"86400s\"",
                          "spec.rekey.ikeTime: \"soon\": is not a duration; write whole seconds, like \"3600s\"; "
                          "\"1h30m\" works too",
                          "spec.rekey.bytes: \"1Gi\": is not a decimal number; write digits only, in quotes, at least "
                          "\"1048576\"",
                          "spec.rekey.packets: \"10\": is too small; write a number from \"1000\" to \"4294967296\""));
  EXPECT_THAT(
      Said("default", "{rekey: {bytes: 1048576}}"),
      ElementsAre("spec.rekey.bytes: \"1048576\": is a number, but must be text; put it in quotes: \"1048576\""));
}

}  // namespace
}  // namespace espalier::source
