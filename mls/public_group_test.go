package mls

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

// grown is a group of nine with blanks, unmerged leaves and parents in its tree.
func grown(t tester) *world {
	w := newWorld(t, X25519_CHACHA20POLY1305_SHA256_Ed25519, testConfig())
	var list []newcomer
	for range 8 {
		list = append(list, w.newcomer())
	}
	w.commit(0, CommitOptions{}, list...)
	w.commit(5, CommitOptions{Remove: []LeafIndex{2}})
	w.commit(3, CommitOptions{})
	w.commit(7, CommitOptions{Remove: []LeafIndex{6}}, w.newcomer())
	return w
}

func TestLeafProof(t *testing.T) {
	w := grown(t)
	hash := w.public.Context().TreeHash
	proofs := make(map[LeafIndex][]byte)
	for i, leaf := range w.public.Members() {
		proof, err := w.public.ProveLeaf(i)
		w.check(err)
		proofs[i] = proof
		got, err := VerifyLeafProof(w.suite, hash, i, proof)
		w.check(err)
		if !bytes.Equal(got.Bytes(), leaf.Bytes()) {
			t.Fatalf("proof of leaf %d yields another leaf", i)
		}
	}
	for i, proof := range proofs {
		for j := range LeafIndex(20) {
			if _, err := VerifyLeafProof(w.suite, hash, j, proof); (err == nil) != (i == j) {
				t.Fatalf("proof of leaf %d for leaf %d: %v", i, j, err)
			}
		}
	}
	if _, err := w.public.ProveLeaf(6); !errors.Is(err, ErrInvalid) {
		t.Fatalf("blank leaf: %v", err)
	}
	proof := proofs[3]
	for n := range proof {
		changed := bytes.Clone(proof)
		changed[n] ^= 1
		if _, err := VerifyLeafProof(w.suite, hash, 3, changed); err == nil {
			t.Fatalf("proof with byte %d changed verifies", n)
		}
		if _, err := VerifyLeafProof(w.suite, hash, 3, proof[:n]); err == nil {
			t.Fatalf("proof cut to %d bytes verifies", n)
		}
	}
	for n := range hash {
		changed := bytes.Clone(hash)
		changed[n] ^= 1
		if _, err := VerifyLeafProof(w.suite, changed, 3, proof); err == nil {
			t.Fatal("proof verifies for another tree")
		}
	}
}

// The public group refuses commits and proposals with any byte changed under the
// signature, and doesn't move.
func TestPublicGroupRefusesForgeries(t *testing.T) {
	w := trio(t, testConfig())
	n := w.newcomer()
	p, err := w.clients[1].g.Commit(CommitOptions{Add: []*KeyPackage{n.kp}, AuthenticatedData: []byte("time")})
	w.check(err)
	before := w.public.Marshal()
	m, err := parse(p.Message, decodeMessage)
	w.check(err)
	signed := len(p.Message) - 2*(1+32) // the two tags need secrets to check
	if len(m.public.auth.confirmationTag) != 32 || len(m.public.membershipTag) != 32 {
		t.Fatal("tags of another length")
	}
	for k := range signed {
		changed := bytes.Clone(p.Message)
		changed[k] ^= 1
		if _, err := w.public.Stage(changed); err == nil {
			t.Fatalf("commit with byte %d of %d changed is staged", k, len(changed))
		}
		if err := w.public.HandleProposal(changed); err == nil {
			t.Fatalf("commit with byte %d changed is a proposal", k)
		}
	}
	if !bytes.Equal(before, w.public.Marshal()) {
		t.Fatal("a refused commit changed the public group")
	}
	staged, err := w.public.Stage(p.Message)
	w.check(err)
	if len(staged.Added) != 1 || staged.Added[0].Index != 3 || staged.Sender != 1 || staged.Epoch != 2 || string(staged.AuthenticatedData) != "time" {
		t.Fatalf("changes: %+v", staged)
	}
	if len(staged.Updated) != 1 || staged.Updated[0].Index != 1 {
		t.Fatalf("updated: %+v", staged.Updated)
	}
	w.check(w.public.Apply(staged))
	if err := w.public.Apply(staged); !errors.Is(err, ErrInvalid) {
		t.Fatalf("staged commit applied twice: %v", err)
	}
	if _, err := w.public.Stage(p.Message); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "of epoch 1 in epoch 2") {
		t.Fatalf("commit of a past epoch: %v", err)
	}
}

func TestPublicGroupMarshal(t *testing.T) {
	w := grown(t)
	msg, d, err := w.clients[3].g.Propose(Proposal{Remove: new(LeafIndex(5))})
	w.propose(3, msg, d, err)
	b := w.public.Marshal()
	p, err := ParsePublicGroup(w.cfg, b)
	w.check(err)
	if !bytes.Equal(p.Marshal(), b) {
		t.Fatal("Marshal of the parsed group differs")
	}
	w.public = p
	w.commit2(0)
	w.agree()
	for k := range b {
		changed := bytes.Clone(b)
		changed[k] ^= 1
		if p, err := ParsePublicGroup(w.cfg, changed); err == nil && !bytes.Equal(p.Marshal(), changed) {
			t.Fatalf("byte %d: parses to something else", k)
		}
	}
	if _, err := ParsePublicGroup(Config{}, b); !errors.Is(err, ErrRefused) {
		t.Fatalf("no Authenticator: %v", err)
	}
}

// A GroupInfo with any byte changed makes no public group.
func TestPublicGroupVerifiesGroupInfo(t *testing.T) {
	w := grown(t)
	info, err := w.clients[3].g.GroupInfo(nil, true)
	w.check(err)
	for k := range info {
		if k > 400 && k < len(info)-400 && k%7 != 0 { // the middle is one long tree
			continue
		}
		changed := slices.Clone(info)
		changed[k] ^= 1
		if _, err := NewPublicGroup(w.cfg, changed, nil); err == nil {
			t.Fatalf("group info with byte %d changed is accepted", k)
		}
	}
}

func TestInspect(t *testing.T) {
	w := trio(t, testConfig())
	n := w.newcomer()
	p, err := w.clients[1].g.Commit(CommitOptions{Add: []*KeyPackage{n.kp}, AuthenticatedData: []byte("ad")})
	w.check(err)
	info, err := w.clients[0].g.GroupInfo(nil, false)
	w.check(err)
	for _, c := range []struct {
		msg  []byte
		want Envelope
	}{
		{p.Message, Envelope{Kind: KindCommit, GroupID: []byte("group"), Epoch: 1,
			AuthenticatedData: []byte("ad"), FromMember: true, Sender: 1}},
		{protect(t, w.clients[2], "x"), Envelope{Kind: KindApplication, Private: true, GroupID: []byte("group"), Epoch: 1,
			AuthenticatedData: []byte("ad")}},
		{p.Welcome, Envelope{Kind: KindWelcome, Suite: w.suite, KeyPackageRefs: [][]byte{n.kp.Ref()}}},
		{info, Envelope{Kind: KindGroupInfo, GroupID: []byte("group"), Epoch: 1, Suite: w.suite, Context: new(w.clients[0].g.Context())}},
		{n.kp.Bytes(), Envelope{Kind: KindKeyPackage, Suite: w.suite}},
	} {
		got, err := Inspect(c.msg)
		w.check(err)
		if !got.equal(&c.want) {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
		if _, err := Inspect(append(c.msg, 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("trailing byte: %v", err)
		}
	}
}

func (e *Envelope) equal(o *Envelope) bool {
	return e.Kind == o.Kind && e.Private == o.Private && bytes.Equal(e.GroupID, o.GroupID) && e.Epoch == o.Epoch &&
		bytes.Equal(e.AuthenticatedData, o.AuthenticatedData) && e.FromMember == o.FromMember && e.Sender == o.Sender &&
		e.Suite == o.Suite && slices.EqualFunc(e.KeyPackageRefs, o.KeyPackageRefs, bytes.Equal) &&
		(e.Context == nil) == (o.Context == nil) && (e.Context == nil || e.Context.Equal(*o.Context))
}

// Several goroutines may verify commits and read at once; the race detector looks on.
func TestPublicGroupConcurrently(t *testing.T) {
	w := trio(t, testConfig())
	var msgs [][]byte
	for _, c := range w.clients {
		p, err := c.g.Commit(CommitOptions{Add: []*KeyPackage{w.newcomer().kp}})
		w.check(err)
		msgs = append(msgs, p.Message)
	}
	var wait sync.WaitGroup
	for _, msg := range msgs {
		wait.Go(func() {
			staged, err := w.public.Stage(msg)
			if err != nil || len(staged.Added) != 1 {
				t.Errorf("Stage: %v", err)
			}
			if _, err := w.public.ProveLeaf(1); err != nil {
				t.Error(err)
			}
			w.public.Marshal()
		})
	}
	wait.Wait()
}
