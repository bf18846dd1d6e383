package testenv

import (
	"bytes"
	"context"
	"slices"

	"writ/api"
	"writ/capsule"
	"writ/client"
	"writ/examine"
	"writ/internal/forger"
	"writ/internal/testlaw"
	"writ/ledger"
	"writ/mls"
	"writ/notice"
)

// Package has a request for any capsules logged under a case, by a docket that
// asks no questions, and packs what custodians are sent.
func (w *World) Package(c *examine.Case, capsules ...[]byte) *examine.Package {
	w.T.Helper()
	ctx, h := context.Background(), c.Warrant.Hash()
	lodged, err := w.Agency.Docket.GetWarrant(ctx, &api.GetWarrantRequest{WarrantHash: h[:]})
	w.Must(err)
	p := &examine.Package{Warrant: c.Warrant.Encode(), WarrantSalt: c.Salt, NoticeSalt: c.NoticeSalt}
	var leaves [][]byte
	for _, b := range capsules {
		leaf := notice.Leaf(capsule.HashOf(b), c.NoticeSalt)
		leaves = append(leaves, leaf[:])
		p.Compartments = append(p.Compartments, examine.PackagePart{Capsule: b})
	}
	slices.SortFunc(leaves, bytes.Compare)
	round, timelock, err := notice.Lock(w.Charter, c.Warrant, c.NoticeSalt)
	w.Must(err)
	logged, err := w.Agency.Request(ctx, h, leaves, round, timelock)
	w.Must(err)
	p.WarrantEntry, p.WarrantProof, err = w.Follower().Proof(ctx, lodged.Index)
	w.Must(err)
	p.RequestEntry, p.RequestProof, err = w.Follower().Proof(ctx, logged.Index)
	w.Must(err)
	return p
}

// Entries makes the entries of a case and of a request for capsules under it,
// which would stand at an index, signed by a docket's key. It logs nothing.
func (w *World) Entries(c *examine.Case, key ledger.DocketSigner, index uint64, capsules ...[]byte) (warrantEntry, requestEntry []byte) {
	return w.EntriesOf(w.Entry(c.Warrant, c.Salt), c, key, index, capsules...)
}

// EntriesOf is Entries with another entry in place of the warrant's approved one.
func (w *World) EntriesOf(x *ledger.Warrant, c *examine.Case, key ledger.DocketSigner, index uint64, capsules ...[]byte) (warrantEntry, requestEntry []byte) {
	x.Sign(key)
	r := &ledger.Request{WarrantIndex: index, Warrant: ledger.HashEntry(x.Entry())}
	for _, b := range capsules {
		r.Leaves = append(r.Leaves, notice.Leaf(capsule.HashOf(b), c.NoticeSalt))
	}
	slices.SortFunc(r.Leaves, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	var err error
	r.Round, r.Timelock, err = notice.Lock(w.Charter, c.Warrant, c.NoticeSalt)
	w.Must(err)
	r.Sign(key)
	return x.Entry(), r.Entry()
}

// Ask sends a package to one custodian.
func (w *World) Ask(c testlaw.Custodian, p *examine.Package) (*api.ReleaseResponse, error) {
	return examine.Ask(context.Background(), w.Asked()[c.Who()], w.Charter, c.Office, c.Custodian, p)
}

// Capsules returns what delivery has of a compartment, as a member asks for it.
func (p *Person) Capsules(id client.ConversationID, epoch uint64, leaf uint32) [][]byte {
	p.w.T.Helper()
	res, err := p.API().GetCapsules(context.Background(), &api.GetCapsulesRequest{Conversation: id[:], Epoch: epoch, Leaf: leaf})
	p.w.Must(err)
	return res.Capsules
}

// Capsule is Capsules where there is one.
func (p *Person) Capsule(id client.ConversationID, epoch uint64, leaf uint32) []byte {
	p.w.T.Helper()
	list := p.Capsules(id, epoch, leaf)
	if len(list) != 1 {
		p.w.T.Fatalf("%d capsules of epoch %d, leaf %d", len(list), epoch, leaf)
	}
	return list[0]
}

// Forger returns what a person can forge in the name of a leaf of the current
// epoch, before the first message of that leaf was read.
func (p *Person) Forger(id client.ConversationID, leaf uint32, capsule capsule.Hash) *forger.Forger {
	p.w.T.Helper()
	g := p.Group(id)
	ratchet, senderData, err := g.SenderSecrets(g.Epoch(), mls.LeafIndex(leaf))
	p.w.Must(err)
	context := g.Context()
	return &forger.Forger{Ratchet: ratchet, SenderData: senderData, Group: id[:], Epoch: g.Epoch(), Leaf: leaf,
		Context: context.Bytes(), AuthenticatedData: capsule[:]}
}
