#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/log/log.h"
#include "absl/log/log_sink_registry.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/telemetry/cause_limiter.h"
#include "common/telemetry/http_server.h"
#include "common/telemetry/json_log.h"
#include "common/telemetry/json_text.h"

namespace espalier::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Json(absl::string_view text) {
  std::string out;
  AppendJsonString(text, &out);
  return out;
}

TEST(JsonTextTest, EscapesAndKeepsUtf8) {
  EXPECT_EQ(Json("a\"b\\c\n\t\x01\x7f"), R"("a\"b\\c\n\t\u0001\u007f")");
  EXPECT_EQ(Json("Zürich €\xf0\x9f\x94\x91"), "\"Zürich €\xf0\x9f\x94\x91\"");
  // Overlong, surrogate, above U+10FFFF, cut off, a stray tail.
  for (const std::string bad : {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80", "\xff"}) {
    EXPECT_THAT(Json(bad), HasSubstr("\\ufffd"));
    EXPECT_EQ(nlohmann::json::parse(Json(bad)).get<std::string>().size() % 3, 0u);
  }
}

TEST(JsonLogTest, OneObjectALine) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  JsonLogSink sink("agent", ends[1]);
  absl::AddLogSink(&sink);
  LOG(WARNING) << "peer refused node=\"b\nc\"";
  LOG(INFO) << "second";
  absl::RemoveLogSink(&sink);
  close(ends[1]);
  std::string all(4096, '\0');
  const ssize_t n = read(ends[0], all.data(), all.size());
  close(ends[0]);
  ASSERT_GT(n, 0);
  all.resize(static_cast<size_t>(n));
  const std::vector<std::string> lines = absl::StrSplit(all, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u);
  const auto first = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(first["severity"], "warning");
  EXPECT_EQ(first["component"], "agent");
  EXPECT_EQ(first["message"], "peer refused node=\"b\nc\"");
  EXPECT_THAT(first["source"].get<std::string>(), StartsWith("telemetry_common_test.cc:"));
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, first["time"].get<std::string>(), &time, &error)) << error;
  EXPECT_EQ(nlohmann::json::parse(lines[1])["severity"], "info");
}

TEST(CauseLimiterTest, OnceACauseAndAgainLater) {
  CauseLimiter limiter(absl::Seconds(60), 2);
  const absl::Time t = absl::UnixEpoch();
  EXPECT_EQ(limiter.Admit("a", t), 0u);
  EXPECT_EQ(limiter.Admit("a", t), std::nullopt);
  EXPECT_EQ(limiter.Admit("a", t + absl::Seconds(59)), std::nullopt);
  EXPECT_EQ(limiter.Admit("b", t), 0u);
  EXPECT_EQ(limiter.Admit("a", t + absl::Seconds(60)), 2u);
  EXPECT_EQ(limiter.Admit("a", t + absl::Seconds(61)), std::nullopt);
}

TEST(CauseLimiterTest, ManyCausesShareOne) {
  CauseLimiter limiter(absl::Seconds(60), 100);
  const absl::Time t = absl::UnixEpoch();
  int admitted = 0;
  for (int i = 0; i < 100000; ++i) admitted += limiter.Admit(absl::StrCat("cause ", i), t).has_value();
  EXPECT_EQ(admitted, 101);
  // Old ones make room for new ones.
  EXPECT_TRUE(limiter.Admit("new", t + absl::Seconds(100)).has_value());
  EXPECT_TRUE(limiter.Admit("newer", t + absl::Seconds(100)).has_value());
  EXPECT_FALSE(limiter.Admit("new", t + absl::Seconds(101)).has_value());
}

// The whole answer to one request.
std::string Ask(uint16_t port, const std::string& request) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  EXPECT_EQ(write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  std::string out;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) out.append(buffer, static_cast<size_t>(n));
  close(fd);
  return out;
}
std::string Get(uint16_t port, const std::string& path) {
  return Ask(port, absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: x\r\n\r\n"));
}

TEST(HttpServerTest, ServesWhatItSays) {
  auto registry = std::make_shared<prometheus::Registry>();
  prometheus::BuildCounter()
      .Name("espalier_test_total")
      .Help("Help.")
      .Register(*registry)
      .Add({{"a", "b"}})
      .Increment(3);
  std::atomic<bool> ready = false;
  HttpOptions options;
  options.listen = {{*IpAddress::Parse("127.0.0.1"), 0}};
  options.metrics = {registry};
  options.ready = [&] { return ready ? absl::OkStatus() : absl::UnavailableError("no view yet"); };
  options.paths = {{"/statusz", [] { return std::string("{\"x\":1}"); }}};
  auto server = HttpServer::Start(std::move(options));
  ASSERT_TRUE(server.ok()) << server.status();
  const uint16_t port = (*server)->port();
  ASSERT_NE(port, 0);

  const std::string metrics = Get(port, "/metrics");
  EXPECT_THAT(metrics, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(metrics, HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(metrics, HasSubstr("# TYPE espalier_test_total counter"));
  EXPECT_THAT(metrics, HasSubstr("espalier_test_total{a=\"b\"} 3"));
  EXPECT_THAT(Get(port, "/healthz"), HasSubstr("200 OK"));
  EXPECT_THAT(Get(port, "/readyz"), HasSubstr("no view yet"));
  EXPECT_THAT(Get(port, "/readyz"), StartsWith("HTTP/1.1 503"));
  ready = true;
  EXPECT_THAT(Get(port, "/readyz"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Get(port, "/statusz?pretty"), HasSubstr("application/json"));
  EXPECT_THAT(Get(port, "/statusz"), HasSubstr("\r\n\r\n{\"x\":1}"));
  for (const char* nowhere : {"/", "/metrics/x", "/../etc/passwd", "/%2e%2e/etc/passwd"}) {
    EXPECT_THAT(Get(port, nowhere), StartsWith("HTTP/1.1 40")) << nowhere;
  }
  EXPECT_THAT(Ask(port, "POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(Ask(port, "HEAD /statusz HTTP/1.1\r\n\r\n"), ::testing::EndsWith("\r\n\r\n"));
  EXPECT_THAT(Ask(port, "rubbish\r\n\r\n"), HasSubstr(" 400 Bad Request"));
}

TEST(HttpServerTest, SaysWhereItCannotListen) {
  HttpOptions options;
  options.listen = {{*IpAddress::Parse("192.0.2.77"), 9}};
  const auto server = HttpServer::Start(std::move(options));
  ASSERT_FALSE(server.ok());
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("192.0.2.77:9"));
  EXPECT_FALSE(HttpServer::Start({}).ok());
}

}  // namespace
}  // namespace espalier::telemetry
