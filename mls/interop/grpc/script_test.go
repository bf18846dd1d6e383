package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"writ/mls"
	pb "writ/mls/interop/grpc/mlsclient"
)

// A script drives servers as the runner does: actors by name, each on one of the servers,
// and after each commit everybody's epoch authenticator compared.
type script struct {
	*testing.T
	suite   uint32
	private bool
	servers []pb.MLSClientClient
	conn    *grpc.ClientConn // of the last server
	actors  map[string]*actor
	group   string
}

// An actor is known to its server by these numbers.
type actor struct {
	pb.MLSClientClient
	name                       string
	state, transaction, signer uint32
	keyPackage                 []byte
}

// start runs two servers of their own and connects with them over loopback.
func start(t *testing.T, suite mls.CipherSuite, private bool) *script {
	s := &script{T: t, suite: uint32(suite), private: private, actors: make(map[string]*actor)}
	for range 2 {
		l := ok(net.Listen("tcp", "127.0.0.1:0"))(t)
		t.Cleanup(func() { l.Close() })
		go newServer(true).serve(l)
		c := ok(grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())))(t)
		t.Cleanup(func() { c.Close() })
		s.conn = c
		s.servers = append(s.servers, pb.NewMLSClientClient(c))
	}
	return s
}

func ok[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// actor finds an actor; a new one goes to the other server than the one before.
func (s *script) actor(name string) *actor {
	a := s.actors[name]
	if a == nil {
		a = &actor{MLSClientClient: s.servers[len(s.actors)%2], name: name}
		s.actors[name] = a
	}
	return a
}

var background = context.Background()

func (s *script) create(name string) {
	s.Helper()
	a := s.actor(name)
	s.group = "group of " + name
	a.state = ok(a.CreateGroup(background, &pb.CreateGroupRequest{GroupId: []byte(s.group), CipherSuite: s.suite,
		EncryptHandshake: s.private, Identity: []byte(name)}))(s).StateId
}

func (s *script) createKeyPackage(names ...string) {
	s.Helper()
	for _, name := range names {
		a := s.actor(name)
		r := ok(a.CreateKeyPackage(background, &pb.CreateKeyPackageRequest{CipherSuite: s.suite, Identity: []byte(name)}))(s)
		if len(r.InitPriv) == 0 || len(r.EncryptionPriv) == 0 || len(r.SignaturePriv) == 0 {
			s.Fatal("a private key is missing")
		}
		a.transaction, a.keyPackage = r.TransactionId, r.KeyPackage
	}
}

// A commit is what the runner says about one.
type commit struct {
	byReference      [][]byte
	byValue          []*pb.ProposalDescription
	members, joiners []string
	externalTree     bool
}

// commit commits, and brings everybody to the next epoch.
func (s *script) commit(by string, c commit) {
	s.Helper()
	a := s.actor(by)
	r := ok(a.Commit(background, &pb.CommitRequest{StateId: a.state, ByReference: c.byReference, ByValue: c.byValue, ForcePath: true, ExternalTree: c.externalTree}))(s)
	if (len(r.Welcome) > 0) != (len(c.joiners) > 0) || (len(r.RatchetTree) > 0) != c.externalTree {
		s.Fatalf("Welcome of %d bytes, tree of %d", len(r.Welcome), len(r.RatchetTree))
	}
	if e := ok(mls.Inspect(r.Commit))(s); e.Private != s.private || e.Kind != mls.KindCommit {
		s.Fatalf("a commit with outside %+v", e)
	}
	h := ok(a.HandlePendingCommit(background, &pb.HandlePendingCommitRequest{StateId: a.state}))(s)
	a.state = h.StateId
	s.follow(c.members, c.byReference, r.Commit, h.EpochAuthenticator)
	for _, name := range c.joiners {
		j := s.actor(name)
		w := ok(j.JoinGroup(background, &pb.JoinGroupRequest{TransactionId: j.transaction, Welcome: r.Welcome, EncryptHandshake: s.private,
			Identity: []byte(name), RatchetTree: r.RatchetTree}))(s)
		j.state = w.StateId
		s.same(name, w.EpochAuthenticator, h.EpochAuthenticator)
	}
	s.agree(slices.Concat([]string{by}, c.members, c.joiners))
}

func (s *script) follow(members []string, proposals [][]byte, commit, authenticator []byte) {
	s.Helper()
	for _, name := range members {
		m := s.actor(name)
		r := ok(m.HandleCommit(background, &pb.HandleCommitRequest{StateId: m.state, Proposal: proposals, Commit: commit}))(s)
		m.state = r.StateId
		s.same(name, r.EpochAuthenticator, authenticator)
	}
}

func (s *script) same(name string, got, want []byte) {
	s.Helper()
	if len(got) == 0 || !bytes.Equal(got, want) {
		s.Fatalf("%s has epoch authenticator %x, not %x", name, got, want)
	}
}

// agree compares what members derive, looks that there is nobody else, and lets the first
// talk to the others.
func (s *script) agree(members []string) {
	s.Helper()
	if got, want := s.roster(members[0]), slices.Sorted(slices.Values(members)); !slices.Equal(got, want) {
		s.Fatalf("members are %v, not %v", got, want)
	}
	first := s.actor(members[0])
	auth := ok(first.StateAuth(background, &pb.StateAuthRequest{StateId: first.state}))(s).StateAuthSecret
	export := func(a *actor) []byte {
		return ok(a.Export(background, &pb.ExportRequest{StateId: a.state, Label: "label", Context: []byte("context"), KeyLength: 40}))(s).ExportedSecret
	}
	secret, msg := export(first), s.protect(members[0], "hello")
	for _, name := range members[1:] {
		a := s.actor(name)
		s.same(name, ok(a.StateAuth(background, &pb.StateAuthRequest{StateId: a.state}))(s).StateAuthSecret, auth)
		s.same(name, export(a), secret)
		s.hear(name, "hello", msg)
	}
}

// roster are the identities in a member's group.
func (s *script) roster(name string) (names []string) {
	s.Helper()
	g := ok(mls.NewPublicGroup(psks{}.config(), s.groupInfo(name, false).GroupInfo, nil))(s)
	for _, l := range g.Members() {
		names = append(names, string(l.Credential.Identity))
	}
	slices.Sort(names)
	return names
}

func (s *script) protect(name, text string) []byte {
	s.Helper()
	a := s.actor(name)
	return ok(a.Protect(background, &pb.ProtectRequest{StateId: a.state, AuthenticatedData: []byte("aad " + text), Plaintext: []byte(text)}))(s).Ciphertext
}

func (s *script) hear(name, text string, msg []byte) {
	s.Helper()
	a := s.actor(name)
	r := ok(a.Unprotect(background, &pb.UnprotectRequest{StateId: a.state, Ciphertext: msg}))(s)
	if string(r.Plaintext) != text || string(r.AuthenticatedData) != "aad "+text {
		s.Fatalf("%s reads %q, %q", name, r.Plaintext, r.AuthenticatedData)
	}
}

// An entry is what the runner says about an external join.
type entry struct {
	members      []string // beside the one that gives the group info
	externalTree bool
	removePrior  bool
	psks         []*pb.PreSharedKey
}

func (s *script) externalJoin(from, name string, e entry) {
	s.Helper()
	info := s.groupInfo(from, e.externalTree)
	j := s.actor(name)
	r := ok(j.ExternalJoin(background, &pb.ExternalJoinRequest{GroupInfo: info.GroupInfo, RatchetTree: info.RatchetTree, EncryptHandshake: s.private,
		Identity: []byte(name), RemovePrior: e.removePrior, Psks: e.psks}))(s)
	j.state = r.StateId
	members := append([]string{from}, e.members...)
	s.follow(members, nil, r.Commit, r.EpochAuthenticator)
	s.agree(append([]string{name}, members...))
}

func (s *script) groupInfo(name string, externalTree bool) *pb.GroupInfoResponse {
	s.Helper()
	a := s.actor(name)
	r := ok(a.GroupInfo(background, &pb.GroupInfoRequest{StateId: a.state, ExternalTree: externalTree}))(s)
	if (len(r.RatchetTree) > 0) != externalTree {
		s.Fatalf("tree of %d bytes", len(r.RatchetTree))
	}
	return r
}

// storePSK gives a secret to actors, by their state or else their transaction.
func (s *script) storePSK(id string, names ...string) {
	s.Helper()
	for _, name := range names {
		a := s.actor(name)
		number := a.state
		if number == 0 {
			number = a.transaction
		}
		ok(a.StorePSK(background, &pb.StorePSKRequest{StateOrTransactionId: number, PskId: []byte(id), PskSecret: []byte("secret of " + id)}))(s)
	}
}

// propose returns the proposal of one member.
func (s *script) propose(name string, f func(a *actor) (*pb.ProposalResponse, error)) []byte {
	s.Helper()
	return ok(f(s.actor(name)))(s).Proposal
}

func (s *script) proposeAdd(by, who string) []byte {
	s.Helper()
	return s.propose(by, func(a *actor) (*pb.ProposalResponse, error) {
		return a.AddProposal(background, &pb.AddProposalRequest{StateId: a.state, KeyPackage: s.actor(who).keyPackage})
	})
}

func (s *script) proposeRemove(by, who string) []byte {
	s.Helper()
	return s.propose(by, func(a *actor) (*pb.ProposalResponse, error) {
		return a.RemoveProposal(background, &pb.RemoveProposalRequest{StateId: a.state, RemovedId: []byte(who)})
	})
}

func (s *script) proposeUpdate(by string) []byte {
	s.Helper()
	return s.propose(by, func(a *actor) (*pb.ProposalResponse, error) {
		return a.UpdateProposal(background, &pb.UpdateProposalRequest{StateId: a.state})
	})
}

func (s *script) proposePSK(by, id string) []byte {
	s.Helper()
	return s.propose(by, func(a *actor) (*pb.ProposalResponse, error) {
		return a.ExternalPSKProposal(background, &pb.ExternalPSKProposalRequest{StateId: a.state, PskId: []byte(id)})
	})
}

func (s *script) proposeResumption(by string, epoch uint64) []byte {
	s.Helper()
	return s.propose(by, func(a *actor) (*pb.ProposalResponse, error) {
		return a.ResumptionPSKProposal(background, &pb.ResumptionPSKProposalRequest{StateId: a.state, EpochId: epoch})
	})
}

func (s *script) proposeExtensions(by string, list ...*pb.Extension) []byte {
	s.Helper()
	return s.propose(by, func(a *actor) (*pb.ProposalResponse, error) {
		return a.GroupContextExtensionsProposal(background, &pb.GroupContextExtensionsProposalRequest{StateId: a.state, Extensions: list})
	})
}

// crowd makes a group of actors: the first creates it and adds the others at once.
func (s *script) crowd(names ...string) {
	s.Helper()
	s.create(names[0])
	s.createKeyPackage(names[1:]...)
	var c commit
	for _, name := range names[1:] {
		c.byReference = append(c.byReference, s.proposeAdd(names[0], name))
	}
	c.joiners = names[1:]
	s.commit(names[0], c)
}

// signer makes name an external sender of the group.
func (s *script) signer(by, name string, members ...string) {
	s.Helper()
	a := s.actor(name)
	r := ok(a.CreateExternalSigner(background, &pb.CreateExternalSignerRequest{CipherSuite: s.suite, Identity: []byte(name)}))(s)
	a.signer = r.SignerId
	p := s.propose(by, func(a *actor) (*pb.ProposalResponse, error) {
		return a.AddExternalSigner(background, &pb.AddExternalSignerRequest{StateId: a.state, ExternalSender: r.ExternalSender})
	})
	s.commit(by, commit{byReference: [][]byte{p}, members: members})
}

func (s *script) proposeOutside(signer, member string, d *pb.ProposalDescription) []byte {
	s.Helper()
	info := s.groupInfo(member, true)
	return s.propose(signer, func(a *actor) (*pb.ProposalResponse, error) {
		return a.ExternalSignerProposal(background, &pb.ExternalSignerProposalRequest{SignerId: a.signer, GroupInfo: info.GroupInfo,
			RatchetTree: info.RatchetTree, Description: d})
	})
}

// reinit ends a group by a proposal and begins the next in the suite.
func (s *script) reinit(committer, welcomer string, proposal []byte, externalTree bool, all ...string) {
	s.Helper()
	ids, kps := make(map[string]uint32), make(map[string][]byte)
	a := s.actor(committer)
	c := ok(a.ReInitCommit(background, &pb.CommitRequest{StateId: a.state, ByReference: [][]byte{proposal}}))(s)
	end := ok(a.HandlePendingReInitCommit(background, &pb.HandlePendingCommitRequest{StateId: a.state}))(s)
	ids[committer], kps[committer] = end.ReinitId, end.KeyPackage
	for _, name := range all {
		if m := s.actor(name); name != committer {
			r := ok(m.HandleReInitCommit(background, &pb.HandleCommitRequest{StateId: m.state, Proposal: [][]byte{proposal}, Commit: c.Commit}))(s)
			s.same(name, r.EpochAuthenticator, end.EpochAuthenticator)
			ids[name], kps[name] = r.ReinitId, r.KeyPackage
		}
	}
	delete(kps, welcomer)
	w := s.actor(welcomer)
	next := ok(w.ReInitWelcome(background, &pb.ReInitWelcomeRequest{ReinitId: ids[welcomer], KeyPackage: slices.Collect(maps.Values(kps)), ExternalTree: externalTree}))(s)
	if (len(next.RatchetTree) > 0) != externalTree {
		s.Fatalf("tree of %d bytes", len(next.RatchetTree))
	}
	w.state = next.StateId
	for name := range kps {
		m := s.actor(name)
		r := ok(m.HandleReInitWelcome(background, &pb.HandleReInitWelcomeRequest{ReinitId: ids[name], Welcome: next.Welcome, RatchetTree: next.RatchetTree}))(s)
		s.same(name, r.EpochAuthenticator, next.EpochAuthenticator)
		m.state = r.StateId
	}
	s.agree(all)
}

// branch begins a group of the first actor with the others.
func (s *script) branch(externalTree bool, list []*pb.Extension, names ...string) {
	s.Helper()
	s.createKeyPackage(names[1:]...)
	var kps [][]byte
	for _, name := range names[1:] {
		kps = append(kps, s.actor(name).keyPackage)
	}
	a := s.actor(names[0])
	r := ok(a.CreateBranch(background, &pb.CreateBranchRequest{StateId: a.state, GroupId: []byte("branch"), Extensions: list, KeyPackages: kps, ExternalTree: externalTree}))(s)
	a.state = r.StateId
	for _, name := range names[1:] {
		m := s.actor(name)
		h := ok(m.HandleBranch(background, &pb.HandleBranchRequest{StateId: m.state, TransactionId: m.transaction, Welcome: r.Welcome, RatchetTree: r.RatchetTree}))(s)
		s.same(name, h.EpochAuthenticator, r.EpochAuthenticator)
		m.state = h.StateId
	}
	s.agree(names)
}

func describeAdd(kp []byte) *pb.ProposalDescription {
	return &pb.ProposalDescription{ProposalType: []byte("add"), KeyPackage: kp}
}

func describeRemove(who string) *pb.ProposalDescription {
	return &pb.ProposalDescription{ProposalType: []byte("remove"), RemovedId: []byte(who)}
}

func describePSK(id string) *pb.ProposalDescription {
	return &pb.ProposalDescription{ProposalType: []byte("externalPSK"), PskId: []byte(id)}
}

func describeResumption(epoch uint64) *pb.ProposalDescription {
	return &pb.ProposalDescription{ProposalType: []byte("resumptionPSK"), EpochId: epoch}
}

func describeExtensions(list ...*pb.Extension) *pb.ProposalDescription {
	return &pb.ProposalDescription{ProposalType: []byte("groupContextExtensions"), Extensions: list}
}

// noRequirements is an empty required_capabilities, noSenders an empty external_senders.
func noRequirements() *pb.Extension {
	return &pb.Extension{ExtensionType: 3, ExtensionData: []byte{0, 0, 0}}
}
func noSenders() *pb.Extension { return &pb.Extension{ExtensionType: 5, ExtensionData: []byte{0}} }

// each runs a scenario in several suites, with handshake messages in the open and private.
func each(t *testing.T, run func(s *script)) {
	for _, suite := range []mls.CipherSuite{mls.X25519_AES128GCM_SHA256_Ed25519, mls.P256_AES128GCM_SHA256_P256, mls.XWING_CHACHA20POLY1305_SHA256_Ed25519} {
		for _, private := range []bool{false, true} {
			t.Run(fmt.Sprintf("suite=%#04x/private=%v", uint16(suite), private), func(t *testing.T) { run(start(t, suite, private)) })
		}
	}
}
