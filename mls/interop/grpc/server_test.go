package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"writ/mls"
	pb "writ/mls/interop/grpc/mlsclient"
)

func TestWelcomeJoin(t *testing.T) {
	each(t, func(s *script) {
		s.crowd("alice", "bob")
		s.createKeyPackage("carol", "dave")
		s.commit("bob", commit{byValue: []*pb.ProposalDescription{describeAdd(s.actor("carol").keyPackage)}, members: []string{"alice"}, joiners: []string{"carol"}, externalTree: true})
		s.storePSK("paper", "alice", "bob", "carol", "dave")
		s.commit("carol", commit{byValue: []*pb.ProposalDescription{describeAdd(s.actor("dave").keyPackage), describePSK("paper")}, members: []string{"alice", "bob"}, joiners: []string{"dave"}})
	})
}

func TestApplication(t *testing.T) {
	each(t, func(s *script) {
		s.crowd("alice", "bob", "carol")
		var msgs [][]byte
		for n := range 5 {
			msgs = append(msgs, s.protect("alice", fmt.Sprint(n)))
		}
		s.commit("bob", commit{members: []string{"alice", "carol"}})
		for _, n := range []int{3, 0, 4, 1, 2} { // late and out of order
			s.hear("bob", fmt.Sprint(n), msgs[n])
			s.hear("carol", fmt.Sprint(n), msgs[n])
		}
		b := s.actor("bob")
		if _, err := b.Unprotect(background, &pb.UnprotectRequest{StateId: b.state, Ciphertext: msgs[0]}); status.Code(err) != codes.InvalidArgument {
			s.Errorf("a message twice: %v", err)
		}
	})
}

func TestCommit(t *testing.T) {
	each(t, func(s *script) {
		s.create("alice")
		s.externalJoin("alice", "bob", entry{})
		s.commit("alice", commit{members: []string{"bob"}})
		s.createKeyPackage("carol", "dave", "erin")
		s.commit("alice", commit{byReference: [][]byte{s.proposeAdd("alice", "carol"), s.proposeAdd("bob", "dave")},
			byValue: []*pb.ProposalDescription{describeAdd(s.actor("erin").keyPackage)}, members: []string{"bob"}, joiners: []string{"carol", "dave", "erin"}})
		s.commit("carol", commit{byReference: [][]byte{s.proposeUpdate("bob"), s.proposeRemove("dave", "erin")}, members: []string{"alice", "bob", "dave"}})
		s.commit("alice", commit{byReference: [][]byte{s.proposeExtensions("bob", noRequirements(), noSenders())}, members: []string{"bob", "carol", "dave"}})
		s.commit("alice", commit{byReference: [][]byte{s.proposeExtensions("alice")}, members: []string{"bob", "carol", "dave"}})
		s.commit("bob", commit{byValue: []*pb.ProposalDescription{describeExtensions(noRequirements())}, members: []string{"alice", "carol", "dave"}})
		everyone := []string{"alice", "bob", "carol", "dave"}
		for _, id := range []string{"one", "two", "three"} {
			s.storePSK(id, everyone...)
		}
		s.commit("alice", commit{byReference: [][]byte{s.proposePSK("alice", "one"), s.proposePSK("bob", "two")},
			byValue: []*pb.ProposalDescription{describePSK("three")}, members: everyone[1:]})
		s.commit("alice", commit{byReference: [][]byte{s.proposeResumption("alice", 4), s.proposeResumption("bob", 5)},
			byValue: []*pb.ProposalDescription{describeResumption(6)}, members: everyone[1:]})
		s.createKeyPackage("frank", "grace")
		s.commit("alice", commit{byReference: [][]byte{s.proposeUpdate("bob"), s.proposeRemove("bob", "carol"), s.proposeExtensions("bob", noSenders())},
			byValue: []*pb.ProposalDescription{describeRemove("dave"), describePSK("one")}, members: []string{"bob"}})
	})
}

func TestExternalJoin(t *testing.T) {
	each(t, func(s *script) {
		s.create("alice")
		s.externalJoin("alice", "bob", entry{})
		s.externalJoin("bob", "bob again", entry{members: []string{"alice"}, externalTree: true})
		s.storePSK("paper", "alice", "bob", "bob again")
		s.externalJoin("alice", "carol", entry{members: []string{"bob", "bob again"},
			psks: []*pb.PreSharedKey{{PskId: []byte("paper"), PskSecret: []byte("secret of paper")}}})
		s.externalJoin("alice", "bob", entry{members: []string{"bob again", "carol"}, removePrior: true, externalTree: true})
		s.commit("bob", commit{members: []string{"alice", "bob again", "carol"}})
	})
}

func TestExternalProposals(t *testing.T) {
	each(t, func(s *script) {
		s.crowd("alice", "bob")
		dave := s.actor("dave")
		r := ok(dave.NewMemberAddProposal(background, &pb.NewMemberAddProposalRequest{GroupInfo: s.groupInfo("alice", false).GroupInfo, Identity: []byte("dave")}))(s)
		dave.transaction = r.TransactionId
		s.commit("alice", commit{byReference: [][]byte{r.Proposal}, members: []string{"bob"}, joiners: []string{"dave"}})
		all := []string{"alice", "bob", "dave"}
		s.signer("alice", "server", all[1:]...)
		s.signer("bob", "second server", "alice", "dave")
		s.storePSK("paper", all...)
		s.createKeyPackage("erin")
		p := [][]byte{s.proposeOutside("second server", "alice", describeAdd(s.actor("erin").keyPackage)), s.proposeOutside("server", "bob", describeRemove("dave"))}
		s.commit("alice", commit{byReference: p, members: []string{"bob"}, joiners: []string{"erin"}})
		s.storePSK("paper", "erin")
		p = [][]byte{s.proposeOutside("server", "alice", describePSK("paper")), s.proposeOutside("server", "alice", describeResumption(5))}
		s.commit("alice", commit{byReference: p[:1], members: []string{"bob", "erin"}})
		s.commit("bob", commit{byReference: [][]byte{s.proposeOutside("server", "alice", describeExtensions(noRequirements()))}, members: []string{"alice", "erin"}})
		s.signer("alice", "third server", "bob", "erin")
		next := &pb.ProposalDescription{ProposalType: []byte("reinit"), GroupId: []byte("next"), CipherSuite: s.suite, Extensions: []*pb.Extension{noRequirements()}}
		s.reinit("alice", "bob", s.proposeOutside("third server", "erin", next), false, "alice", "bob", "erin")
	})
}

func TestReInit(t *testing.T) {
	for name, c := range map[string]struct {
		suite               mls.CipherSuite
		id                  string
		list                []*pb.Extension
		externalTree        bool
		committer, welcomer string
	}{
		"suite":      {suite: mls.P256_AES128GCM_SHA256_P256, committer: "bob", welcomer: "carol"},
		"group id":   {id: "another", committer: "bob", welcomer: "carol"},
		"extensions": {list: []*pb.Extension{noRequirements(), noSenders()}, committer: "bob", welcomer: "carol"},
		"tree":       {id: "another", externalTree: true, committer: "bob", welcomer: "carol"},
		"alone":      {id: "another", committer: "alice", welcomer: "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(s *script) {
				all := []string{"alice", "bob", "carol", "dave"}
				s.crowd(all...)
				next := &pb.ReInitProposalRequest{StateId: s.actor("alice").state, CipherSuite: s.suite, GroupId: []byte(s.group + c.id), Extensions: c.list}
				if c.suite != 0 {
					next.CipherSuite = uint32(c.suite)
				}
				proposal := s.propose("alice", func(a *actor) (*pb.ProposalResponse, error) { return a.ReInitProposal(background, next) })
				s.reinit(c.committer, c.welcomer, proposal, c.externalTree, all...)
				s.commit("dave", commit{members: []string{"alice", "bob", "carol"}})
			})
		})
	}
}

func TestBranch(t *testing.T) {
	each(t, func(s *script) {
		for k, list := range [][]*pb.Extension{nil, {noRequirements(), noSenders()}} {
			s.crowd("alice", "bob", "carol", "dave")
			s.branch(k == 1, list, "alice", "carol", "bob")
			s.commit("carol", commit{members: []string{"alice", "bob"}})
		}
	})
}

// Everything at random, many times over.
func TestDeepRandom(t *testing.T) {
	each(t, func(s *script) {
		const seed = 7
		r := rand.New(rand.NewPCG(seed, uint64(s.suite)))
		s.create("member 0")
		members, born := []string{"member 0"}, 1
		pick := func() string { return members[r.IntN(len(members))] }
		for range 25 {
			by, c := pick(), commit{}
			switch n := r.IntN(5); {
			case n == 0:
				name := fmt.Sprintf("member %d", born)
				born++
				s.externalJoin(by, name, entry{members: without(members, by), externalTree: r.IntN(2) == 0})
				members = append(members, name)
				continue
			case n == 1 && len(members) > 3:
				gone := pick()
				if gone == by {
					continue
				}
				c.byReference = append(c.byReference, s.proposeRemove(pick(), gone))
				members = without(members, gone)
			case n == 2:
				for _, name := range without(members, by) {
					if r.IntN(2) == 0 {
						c.byReference = append(c.byReference, s.proposeUpdate(name))
					}
				}
			default:
				for range 1 + r.IntN(2) {
					name := fmt.Sprintf("member %d", born)
					born++
					s.createKeyPackage(name)
					c.byReference, c.joiners = append(c.byReference, s.proposeAdd(pick(), name)), append(c.joiners, name)
				}
			}
			c.members, c.externalTree = without(members, by), r.IntN(2) == 0
			s.commit(by, c)
			members = append(members, c.joiners...)
		}
	})
}

func without(list []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == one })
}

// Every call of the protocol is there, and turns away what it doesn't know.
func TestEveryCall(t *testing.T) {
	s := start(t, mls.X25519_AES128GCM_SHA256_Ed25519, false)
	c := s.servers[0]
	if r := ok(c.Name(background, &pb.NameRequest{}))(t); r.Name != "Writ" {
		t.Errorf("name %q", r.Name)
	}
	if r := ok(c.SupportedCiphersuites(background, &pb.SupportedCiphersuitesRequest{}))(t); len(r.Ciphersuites) != len(mls.CipherSuites()) {
		t.Errorf("suites %v", r.Ciphersuites)
	}
	if list := newServer(false).suites(); len(list) != 5 || slices.Max(list) > 7 {
		t.Errorf("suites %v without -all", list)
	}
	service := pb.File_mls_client_proto.Services().ByName("MLSClient")
	if service.FullName() != "mls_client.MLSClient" || service.Methods().Len() != 34 {
		t.Fatalf("%s has %d calls", service.FullName(), service.Methods().Len())
	}
	for k := range service.Methods().Len() {
		m := service.Methods().Get(k)
		if m.Input().Fields().Len() == 0 {
			continue
		}
		err := s.invoke(m)
		if code := status.Code(err); code != codes.NotFound && code != codes.InvalidArgument {
			t.Errorf("%s of nothing: %v", m.Name(), err)
		}
	}
	s.create("alice")
	a := s.actor("alice")
	ok(a.Free(background, &pb.FreeRequest{StateId: a.state}))(t)
	if _, err := a.StateAuth(background, &pb.StateAuthRequest{StateId: a.state}); status.Code(err) != codes.NotFound {
		t.Errorf("a state that was freed: %v", err)
	}
}

// invoke makes a call with an empty request.
func (s *script) invoke(m protoreflect.MethodDescriptor) error {
	in := dynamicpb.NewMessage(m.Input())
	out := dynamicpb.NewMessage(m.Output())
	return s.conn.Invoke(background, fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name()), in, out)
}

func TestOpaque(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 300, 1<<14 - 1, 1 << 14, 70000} {
		b := append(appendOpaque(nil, make([]byte, n)), "rest"...)
		if v, rest, err := cutOpaque(b); err != nil || len(v) != n || string(rest) != "rest" {
			t.Errorf("%d bytes: %d, %q, %v", n, len(v), rest, err)
		}
		if _, _, err := cutOpaque(b[:len(b)-5]); n > 0 && err == nil {
			t.Errorf("%d bytes cut short", n)
		}
	}
	if _, _, err := cutOpaque([]byte{0xc0, 0, 0, 0, 0, 0, 0, 0}); err == nil {
		t.Error("a length of eight bytes")
	}
}
