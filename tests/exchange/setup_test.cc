// Set-up: IKE_SA_INIT, IKE_INTERMEDIATE, IKE_AUTH.
#include "gtest/gtest.h"
#include "tests/exchange/mesh.h"

namespace espalier::ike {
namespace {

// IKE_SA_INIT  { SA, KEi, Ni, N.. }               -->
//                               <--  { SA, KEr, Nr, N.., CERTREQ }
// IKE_INTERMEDIATE { SK { KEi(1) } }              -->
//                               <--  { SK { KEr(1) } }
// IKE_AUTH { SK { IDi, CERT, .., AUTH, SA, TSi, TSr } }  -->
//                               <--  { SK { IDr, CERT, AUTH, SA, TSi, TSr } }
TEST(Setup, SixMessagesMakeAPair) {
  Mesh mesh;
  mesh.Add(1);
  mesh.Add(2);
  mesh.ShareView();
  mesh.record = true;
  EXPECT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kNoSa);
  mesh.RunFor(absl::Milliseconds(20));
  std::vector<std::string> exchanges;
  for (const Datagram& d : mesh.sent) {
    wire::Header h = d.header();
    exchanges.push_back(wire::ToString(h.exchange) + (h.response ? " <--" : " -->"));
    EXPECT_LE(d.octets.size() + 32, 1280u);
  }
  exchanges.erase(std::unique(exchanges.begin(), exchanges.end()), exchanges.end());  // fragments
  EXPECT_EQ(exchanges, (std::vector<std::string>{"IKE_SA_INIT -->", "IKE_SA_INIT <--", "IKE_INTERMEDIATE -->",
                                                 "IKE_INTERMEDIATE <--", "IKE_AUTH -->", "IKE_AUTH <--"}));
  EXPECT_EQ(mesh.SendPacket(1, 2), Mesh::Packet::kOpened);
  EXPECT_EQ(mesh.SendPacket(2, 1), Mesh::Packet::kOpened);
  EXPECT_TRUE(mesh.OnePair(1, 2));
  PeerReport report = mesh.node(1).engine().Report().front();
  EXPECT_EQ(report.suite, "AES-256-GCM/PRF-HMAC-SHA2-512/X25519+ML-KEM-768");
  EXPECT_TRUE(report.initiator);
}

}  // namespace
}  // namespace espalier::ike
