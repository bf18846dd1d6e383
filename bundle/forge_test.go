package bundle

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"

	"writ/capsule"
	"writ/internal/forger"
	"writ/internal/wire"
	"writ/mls"
	"writ/warrant"
)

func forge(c *Compartment) *forger.Forger {
	sealed := must(capsule.Parse(c.Capsule))
	l, h := sealed.Label(), sealed.Hash()
	return &forger.Forger{Ratchet: c.Ratchet, SenderData: c.SenderData, Group: l.Conversation, Epoch: l.Epoch, Leaf: l.Leaf,
		Context: c.GroupContext, AuthenticatedData: h[:]}
}

// R27: delivery, all custodians, docket, approvers, the agency and all other
// members together hold every key but the sender's signature key. They put a
// message into her mouth in every way we know, sign it as delivery, and log
// whatever they like; the bundle fails, and its builder can only have it
// set aside, without a word of it in the report.
func TestR27NobodyIsFramed(t *testing.T) {
	w := newWorld(t)
	c := w.converse(suite, "lunch", "alice", "bob")
	before := c.say("alice", "I confess.")
	c.next()
	now := c.say("alice", "Noon?", "The usual place.")
	bob := c.say("bob", "I confess.")
	elsewhere := w.converse(suite, "other", "alice", "bob").say("alice", "I confess.")
	const text, next = "I confess.", 2
	f := forge(&now)
	as := func(change func(f *forger.Forger)) *forger.Forger {
		g := *f
		change(&g)
		return &g
	}
	for name, message := range map[string][]byte{
		"without a signature":                     f.Encrypt(next, text, nil),
		"with a signature of zeros":               f.Encrypt(next, text, make([]byte, 64)),
		"signed with their own key":               f.Encrypt(next, text, f.Sign(keyOf("colluders"), text)),
		"signed by delivery":                      f.Encrypt(next, text, f.Sign(w.Delivery, text)),
		"with the signature of another message":   f.Encrypt(next, text, must(f.SignatureOf(0, now.Messages[0].Ciphertext))),
		"another text in place of a signed one":   f.Encrypt(1, text, must(f.SignatureOf(1, now.Messages[1].Ciphertext))),
		"her message of another epoch":            f.Encrypt(next, text, must(forge(&before).SignatureOf(0, before.Messages[0].Ciphertext))),
		"her ciphertext of another epoch":         before.Messages[0].Ciphertext,
		"her message of another conversation":     f.Encrypt(next, text, must(forge(&elsewhere).SignatureOf(0, elsewhere.Messages[0].Ciphertext))),
		"her ciphertext of another conversation":  elsewhere.Messages[0].Ciphertext,
		"bob's message as hers":                   f.Encrypt(next, text, must(forge(&bob).SignatureOf(0, bob.Messages[0].Ciphertext))),
		"bob's ciphertext":                        bob.Messages[0].Ciphertext,
		"bob's leaf under her keys":               as(func(g *forger.Forger) { g.Leaf = 1 }).Encrypt(next, text, nil),
		"her words under another capsule's hash":  as(func(g *forger.Forger) { g.AuthenticatedData = make([]byte, 32) }).Encrypt(0, "Noon?", must(f.SignatureOf(0, now.Messages[0].Ciphertext))),
		"her message again, one later":            f.Encrypt(next, said(0, "Noon?"), must(f.SignatureOf(0, now.Messages[0].Ciphertext))),
		"nothing but noise":                       []byte("noise"),
		"a handshake message of hers, not a word": must(c.groups["alice"].Commit(mls.CommitOptions{})).Message,
	} {
		framed := now
		framed.Messages = append(slices.Clone(now.Messages), w.receive(message))
		w.state(&framed)
		contents := w.open(edits{}, framed)
		wants(t, w, contents, checkMessages)
		b, _, err := Build(contents, w.policy)
		if err != nil {
			t.Errorf("%s: can't be set aside: %v", name, err)
			continue
		}
		r := must(Verify(b, w.policy))
		last := r.Compartments[0].Messages[2]
		if r.Complete || last.Aside == "" || last.Text != nil || last.Data != nil {
			t.Errorf("%s: %+v", name, last)
		}
		c.groups["alice"].DropPending()
	}
}

// said is the content of a message.
func said(generation uint32, text string) string {
	return string(capsule.Content(generation, []byte(text)))
}

// Who knows the secrets puts the sender's own signed messages into another order,
// or repeats one in the place of another, so that no generation lacks; delivery signs the
// list. Each that stands elsewhere than its sender said it is set aside, and does not hide
// that what was said there is missing.
func TestMovedMessages(t *testing.T) {
	w := newWorld(t)
	part := w.converse(suite, "lunch", "alice", "bob").say("alice", "no", "yes", "never")
	f := forge(&part)
	gaps := map[string][]Gap{"swapped": {{0, 1}}, "one left out": {{1, 1}}}
	for name, order := range map[string][]uint32{"swapped": {1, 0, 2}, "one left out": {0, 2, 2}, "one twice": {0, 1, 1}} {
		moved := part
		moved.Messages = nil
		for place, from := range order {
			text := said(from, []string{"no", "yes", "never"}[from])
			message := f.Encrypt(uint32(place), text, must(f.SignatureOf(from, part.Messages[from].Ciphertext)))
			moved.Messages = append(moved.Messages, w.receive(message))
		}
		w.stateCount(&moved, uint32(len(order)))
		r := must(Verify(built(w.open(edits{}, moved), w.policy), w.policy))
		for place, m := range r.Compartments[0].Messages {
			if right := order[place] == uint32(place); right != (m.Aside == "") || right != (m.Text != nil) {
				t.Errorf("%s: in place %d: %+v", name, place, m)
			}
		}
		if r.Complete || !slices.Equal(r.Compartments[0].Gaps, gaps[name]) {
			t.Errorf("%s: complete %v, gaps %v", name, r.Complete, r.Compartments[0].Gaps)
		}
	}
}

// The forger forges well: with the sender's own key its message verifies. What
// separates evidence from forgery is that key alone.
func TestForgerWithTheSendersKey(t *testing.T) {
	w := newWorld(t)
	c := w.converse(suite, "lunch", "alice", "bob")
	part := c.say("alice", "genuine")
	f, key := forge(&part), ed25519.NewKeyFromSeed(c.key["alice"].Bytes())
	part.Messages = append(part.Messages, w.receive(f.Encrypt(1, said(1, "signed"), f.Sign(key, said(1, "signed")))))
	w.state(&part)
	r, err := w.verify(w.open(edits{}, part))
	if err != nil || *r.Compartments[0].Messages[1].Text != "signed" {
		t.Fatal(err)
	}
}

// R37: an unknown version or value rejects the whole.
func TestR37UnknownIsRejected(t *testing.T) {
	w := newWorld(t)
	_, contents := w.good()
	b := contents.encode()
	other := seal(append([]byte("writ bundle v2\n"), b[len(magic):len(b)-32]...))
	if _, err := Verify(other, w.policy); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("version 2: %v", err)
	}
	order := must(warrant.Parse(contents.Warrant))
	order.Flags |= 4
	contents.Warrant = order.Encode()
	wants(t, w, contents, checkWarrant)
}
