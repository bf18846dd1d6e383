package delivery

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"time"

	"connectrpc.com/connect"
	"writ/api"
	"writ/capsule"
	"writ/charter"
	"writ/directory"
	"writ/engine"
	"writ/mls"
	"writ/warrant"
)

// StatementKey signs what delivery states of compartments.
type StatementKey ed25519.PrivateKey

// Bounds of one page of a disclosure.
const (
	maxCompartments    = 32
	maxDisclosureBytes = 4 << 20
	epochPage          = 64
)

// Disclose implements api.Delivery.
func (s *Service) Disclose(ctx context.Context, r *api.DiscloseRequest) (*api.DiscloseResponse, error) {
	if s.config.StatementKey == nil {
		return nil, fault(connect.CodeUnimplemented, &api.Hint{Hint: "This deployment discloses nothing."}, "unsupported: no key for statements")
	}
	w, err := s.authority(ctx, r)
	if err != nil {
		return nil, err
	}
	at, err := parseCursor(r.After)
	if err != nil {
		return nil, err
	}
	d := &disclosure{s: s, warrant: w.Warrant(), out: &api.DiscloseResponse{}}
	for _, c := range s.config.Laws.Versions(d.warrant.Charter) {
		d.laws = append(d.laws, c.Hash())
	}
	d.start, d.end = d.warrant.Window()
	if err := d.run(ctx, at); err != nil {
		return nil, err
	}
	if err := d.record(ctx, w.Hash()); err != nil {
		return nil, err
	}
	return d.out, nil
}

// record keeps what a page hands out, and under which warrant. A page that can't be
// recorded is not handed out.
func (d *disclosure) record(ctx context.Context, h warrant.Hash) error {
	page := engine.Disclosure{Warrant: h, At: uint64(d.s.now().Unix()), Compartments: uint32(len(d.out.Compartments))}
	for _, c := range d.out.Compartments {
		page.Messages += uint32(len(c.Messages))
	}
	if err := d.s.store.PutDisclosure(ctx, page); err != nil {
		return d.s.storeFault(err, "disclosure")
	}
	d.s.log.Info("disclosed", "warrant", hex.EncodeToString(h[:]), "compartments", page.Compartments, "messages", page.Messages)
	return nil
}

// cursor is where a page begins: at a compartment, after a seq.
type cursor struct {
	conversation []byte
	epoch        uint64
	leaf         uint32
	seq          uint64
}

func parseCursor(b []byte) (cursor, error) {
	if len(b) == 0 {
		return cursor{}, nil
	}
	if len(b) != midSize+20 {
		return cursor{}, malformed("cursor of %d bytes", len(b))
	}
	c := cursor{b[:midSize], binary.BigEndian.Uint64(b[midSize:]), binary.BigEndian.Uint32(b[midSize+8:]), binary.BigEndian.Uint64(b[midSize+12:])}
	if c.epoch > engine.Forever || c.seq > engine.Forever {
		return cursor{}, malformed("cursor")
	}
	return c, nil
}

func (c cursor) encode() []byte {
	b := binary.BigEndian.AppendUint64(slices.Clone(c.conversation), c.epoch)
	b = binary.BigEndian.AppendUint32(b, c.leaf)
	return binary.BigEndian.AppendUint64(b, c.seq)
}

// disclosure collects one page. Compartments come in the order of conversation,
// epoch and leaf.
type disclosure struct {
	s          *Service
	warrant    warrant.Warrant
	laws       []charter.Hash // the warrant's and the versions before it
	start, end time.Time
	out        *api.DiscloseResponse
	size       int
	group      *group // of the conversation at hand, in the last epoch proven
}

// full ends the page at a place, and reports whether it is ended.
func (d *disclosure) full(at cursor) bool {
	if len(d.out.Next) == 0 && (len(d.out.Compartments) >= maxCompartments || d.size >= maxDisclosureBytes) {
		d.out.Next = at.encode()
	}
	return len(d.out.Next) > 0
}

func (d *disclosure) run(ctx context.Context, at cursor) error {
	after := []byte(nil)
	if at.conversation != nil {
		if err := d.conversation(ctx, at.conversation, at); err != nil {
			return err
		}
		after = at.conversation
	}
	for len(d.out.Next) == 0 {
		list, err := d.s.store.ConversationsOf(ctx, d.warrant.Subject, after, epochPage)
		if err != nil {
			return d.s.storeFault(err, "conversations")
		}
		if len(list) == 0 {
			return nil
		}
		for _, id := range list {
			if err := d.conversation(ctx, id, cursor{}); err != nil || len(d.out.Next) > 0 {
				return err
			}
			after = id
		}
	}
	return nil
}

// conversation discloses what is in scope of one conversation, from a place on.
func (d *disclosure) conversation(ctx context.Context, id []byte, at cursor) error {
	if !d.warrant.Covers(id) {
		return nil
	}
	d.group = nil
	for first := at.epoch; ; {
		list, err := d.s.store.Epochs(ctx, id, first, epochPage)
		if err != nil {
			return d.s.storeFault(err, "conversation")
		}
		for _, e := range list {
			if !d.inWindow(e) {
				continue
			}
			if err := d.epoch(ctx, id, e, at); err != nil || len(d.out.Next) > 0 {
				return err
			}
		}
		if len(list) < epochPage {
			return nil
		}
		first = list[len(list)-1].Epoch + 1
	}
}

// inWindow reports whether an epoch was opened within the warrant's window.
func (d *disclosure) inWindow(e engine.Epoch) bool {
	opened := time.Unix(int64(e.Opened), 0)
	return !opened.Before(d.start) && opened.Before(d.end)
}

// epoch discloses the compartments in scope of one epoch: the subject's, or all in
// which the subject was there, under the warrant's charter or a version before it.
func (d *disclosure) epoch(ctx context.Context, id []byte, e engine.Epoch, at cursor) error {
	if out, err := d.withheld(e); out || err != nil {
		return err
	}
	members, err := d.s.store.Members(ctx, id, e.Epoch)
	if err != nil {
		return d.s.storeFault(err, "conversation")
	}
	accounts := make([]string, 0, len(members))
	for _, m := range members {
		accounts = append(accounts, m.Account)
	}
	slices.Sort(accounts)
	accounts = slices.Compact(accounts)
	if !slices.Contains(accounts, d.warrant.Subject) {
		return nil
	}
	for _, m := range members {
		inScope := slices.Contains(d.laws, m.Charter) && (m.Account == d.warrant.Subject || d.warrant.Direction == warrant.SentAndReceived)
		here := cursor{id, e.Epoch, m.Leaf, 0}
		if e.Epoch == at.epoch && m.Leaf < at.leaf || !inScope {
			continue
		}
		if e.Epoch == at.epoch && m.Leaf == at.leaf {
			here.seq = at.seq
		}
		if d.full(here) {
			return nil
		}
		if err := d.compartment(ctx, e, m, accounts, here); err != nil || len(d.out.Next) > 0 {
			return err
		}
	}
	return nil
}

// compartment discloses one compartment, from a seq on. One in which nothing was said
// and nothing sealed is left out.
func (d *disclosure) compartment(ctx context.Context, e engine.Epoch, m engine.Member, accounts []string, at cursor) error {
	c := engine.Compartment{Conversation: at.conversation, Epoch: e.Epoch, Leaf: m.Leaf}
	span, err := d.span(ctx, c, e)
	if err != nil {
		return err
	}
	out := &api.Compartment{Conversation: c.Conversation, Epoch: c.Epoch, Leaf: c.Leaf}
	if at.seq == 0 {
		if err := d.describe(ctx, out, c, e, m, accounts, span); err != nil {
			return err
		}
		if out.Count == 0 && len(out.Capsules) == 0 {
			return nil
		}
	}
	span.After = max(span.After, at.seq)
	if d.warrant.Action == warrant.Preserve {
		d.out.Compartments = append(d.out.Compartments, out)
		return nil
	}
	if err := d.messages(ctx, out, c, span); err != nil {
		return err
	}
	if at.seq == 0 || len(out.Messages) > 0 {
		d.out.Compartments = append(d.out.Compartments, out)
	}
	return nil
}

// span is where a compartment's messages can stand; see engine.LateEpochs.
func (d *disclosure) span(ctx context.Context, c engine.Compartment, e engine.Epoch) (engine.Range, error) {
	r := engine.Range{Conversation: c.Conversation, After: e.Seq, MaxCount: maxReadCount, MaxBytes: maxReadBytes}
	end, err := d.s.store.Epochs(ctx, c.Conversation, e.Epoch+engine.LateEpochs+1, 1)
	if err != nil {
		return r, d.s.storeFault(err, "conversation")
	}
	if len(end) > 0 {
		r.Before = end[0].Seq
	}
	return r, nil
}

// describe fills in all but the messages.
func (d *disclosure) describe(ctx context.Context, out *api.Compartment, c engine.Compartment, e engine.Epoch, m engine.Member, accounts []string, span engine.Range) (err error) {
	if err := d.state(ctx, out, c, e, span); err != nil {
		return err
	}
	if out.Capsules, err = d.s.store.Capsules(ctx, c); err != nil {
		return d.s.storeFault(err, "capsules")
	}
	if out.Count == 0 && len(out.Capsules) == 0 {
		return nil
	}
	if out.LeafProof, err = d.leafProof(ctx, c); err != nil {
		return err
	}
	if out.RosterProof, err = directory.ProveRoster(accounts, d.warrant.Subject); err != nil {
		return d.s.storeFault(err, "roster")
	}
	if d.warrant.Action == warrant.Preserve {
		return d.onlyCapsules(ctx, out, c, span)
	}
	out.Account, out.Device, out.Opened, out.GroupContext, out.Roster = m.Account, m.Device, e.Opened, e.Context, accounts
	for _, b := range out.Capsules {
		d.size += len(b)
	}
	d.size += len(e.Context) + len(out.LeafProof) + 16*len(accounts)
	return nil
}

// state counts the compartment's messages and signs what they are.
func (d *disclosure) state(ctx context.Context, out *api.Compartment, c engine.Compartment, e engine.Epoch, span engine.Range) error {
	var messages capsule.MessageList
	for {
		list, err := d.s.store.ReadCompartment(ctx, span, c.Epoch, c.Leaf)
		if err != nil {
			return d.s.storeFault(err, "messages")
		}
		if len(list) == 0 {
			break
		}
		for _, m := range list {
			messages.Add(m.Seq, m.Received, sha256.Sum256(m.Body))
			span.After = m.Seq
		}
	}
	statement := capsule.Statement{Conversation: c.Conversation, Epoch: c.Epoch, Leaf: c.Leaf, Opened: e.Opened,
		Context: sha256.Sum256(e.Context), Count: uint32(messages.Len()), Messages: messages.Hash()}
	out.Count, out.Statement = statement.Count, statement.Sign(ed25519.PrivateKey(d.s.config.StatementKey))
	return nil
}

// messages adds the compartment's messages until the page is full.
func (d *disclosure) messages(ctx context.Context, out *api.Compartment, c engine.Compartment, span engine.Range) error {
	for {
		list, err := d.s.store.ReadCompartment(ctx, span, c.Epoch, c.Leaf)
		if err != nil {
			return d.s.storeFault(err, "messages")
		}
		if len(list) == 0 {
			return nil
		}
		for _, m := range list {
			out.Messages = append(out.Messages, wireMessage(m))
			span.After = m.Seq
			if d.size += len(m.Body) + 64; d.size >= maxDisclosureBytes {
				d.out.Next = cursor{c.Conversation, c.Epoch, c.Leaf, m.Seq}.encode()
				return nil
			}
		}
	}
}

// leafProof proves a leaf against the tree hash of a past epoch. Epochs come in
// order, so the compartments of one epoch share a group.
func (d *disclosure) leafProof(ctx context.Context, c engine.Compartment) ([]byte, error) {
	if d.group == nil || d.group.Context().Epoch != c.Epoch {
		g, err := d.s.loadGroup(ctx, c.Conversation, c.Epoch)
		if err != nil {
			return nil, err
		}
		d.group = g
	}
	proof, err := d.group.ProveLeaf(mls.LeafIndex(c.Leaf))
	return proof, d.s.storeFault(err, "leaf")
}

// withheld reports whether an epoch is privileged and the warrant does not reach
// that.
func (d *disclosure) withheld(e engine.Epoch) (bool, error) {
	context, err := mls.ParseGroupContext(e.Context)
	if err != nil {
		return false, d.s.storeFault(err, "conversation")
	}
	flags, err := flagsOf(context)
	if err != nil {
		return false, d.s.storeFault(err, "conversation")
	}
	return flags&capsule.Privileged != 0 && d.warrant.Flags&warrant.IsPrivileged == 0, nil
}
