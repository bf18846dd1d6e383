package bundle

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"writ/capsule"
	"writ/internal/wire"
	"writ/mls"
	"writ/warrant"
)

// forger encrypts as any member can who knows a compartment's secrets, by its
// own implementation of RFC 9420 sections 6.3 and 9.1 for suites with SHA-256,
// ChaCha20-Poly1305 and Ed25519.
type forger struct {
	s, d    []byte
	group   []byte
	epoch   uint64
	leaf    uint32
	context []byte
	ad      []byte
}

func forge(c *Compartment) *forger {
	sealed := must(capsule.Parse(c.Capsule))
	l, h := sealed.Label(), sealed.Hash()
	return &forger{c.Ratchet, c.SenderData, l.Conversation, l.Epoch, l.Leaf, c.GroupContext, h[:]}
}

func expand(secret []byte, label string, context []byte, n int) []byte {
	var w wire.Writer
	w.Uint16(uint16(n))
	w.Opaque([]byte("MLS 1.0 " + label))
	w.Opaque(context)
	return must(hkdf.Expand(sha256.New, secret, string(w.Bytes()), n))
}

// key is the key and nonce of a generation.
func (f *forger) key(generation uint32) (key, nonce []byte) {
	secret := f.s
	for g := uint32(0); ; g++ {
		context := binary.BigEndian.AppendUint32(nil, g)
		if g == generation {
			return expand(secret, "key", context, 32), expand(secret, "nonce", context, 12)
		}
		secret = expand(secret, "secret", context, 32)
	}
}

// content is FramedContent of an application message.
func (f *forger) content(w *wire.Writer, text string) {
	w.Opaque(f.group)
	w.Uint64(f.epoch)
	w.Uint8(1) // sender type member
	w.Uint32(f.leaf)
	w.Opaque(f.ad)
	w.Uint8(1) // application
	w.Opaque([]byte(text))
}

// sign is the signature that a key makes over a text (6.1).
func (f *forger) sign(key ed25519.PrivateKey, text string) []byte {
	var tbs, signed wire.Writer
	tbs.Uint16(1) // MLS 1.0
	tbs.Uint16(2) // PrivateMessage
	f.content(&tbs, text)
	tbs.Fixed(f.context)
	signed.Opaque([]byte("MLS 1.0 FramedContentTBS"))
	signed.Opaque(tbs.Bytes())
	return ed25519.Sign(key, signed.Bytes())
}

// encrypt makes the MLSMessage of a text and a signature (6.3).
func (f *forger) encrypt(generation uint32, text string, signature []byte) []byte {
	seal := func(key, nonce, aad, plain []byte) []byte {
		return must(chacha20poly1305.New(key)).Seal(nil, nonce, plain, aad)
	}
	var plain, aad, out wire.Writer
	plain.Opaque([]byte(text))
	plain.Opaque(signature)
	aad.Opaque(f.group)
	aad.Uint64(f.epoch)
	aad.Uint8(1)
	senderAAD := slices.Clone(aad.Bytes())
	aad.Opaque(f.ad)
	key, nonce := f.key(generation) // the reuse guard is zero
	ciphertext := seal(key, nonce, aad.Bytes(), plain.Bytes())
	sample := ciphertext[:min(32, len(ciphertext))]
	sender := binary.BigEndian.AppendUint32(nil, f.leaf)
	sender = append(binary.BigEndian.AppendUint32(sender, generation), 0, 0, 0, 0)
	out.Uint16(1)
	out.Uint16(2)
	out.Fixed(aad.Bytes())
	out.Opaque(seal(expand(f.d, "key", sample, 32), expand(f.d, "nonce", sample, 12), senderAAD, sender))
	out.Opaque(ciphertext)
	return out.Bytes()
}

// signatureOf takes the signature out of a genuine message, as a reader can.
func (f *forger) signatureOf(t *testing.T, generation uint32, message []byte) []byte {
	open := func(key, nonce, aad, sealed []byte) []byte {
		return must(must(chacha20poly1305.New(key)).Open(nil, nonce, sealed, aad))
	}
	r := wire.NewReader(message)
	r.Fixed(4) // version, wire format
	var aad wire.Writer
	aad.Opaque(r.Opaque(64))
	aad.Uint64(r.Uint64())
	aad.Uint8(r.Uint8())
	senderAAD := slices.Clone(aad.Bytes())
	aad.Opaque(r.Opaque(32))
	sender, ciphertext := r.Opaque(64), r.Opaque(1<<16)
	sample := ciphertext[:min(32, len(ciphertext))]
	guard := open(expand(f.d, "key", sample, 32), expand(f.d, "nonce", sample, 12), senderAAD, sender)[8:]
	key, nonce := f.key(generation)
	for i, b := range guard {
		nonce[i] ^= b
	}
	p := wire.NewReader(open(key, nonce, aad.Bytes(), ciphertext))
	p.Opaque(1 << 16) // the text
	signature := p.Opaque(64)
	if r.Done() != nil || len(signature) != 64 {
		t.Fatal(r.Err())
	}
	return signature
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
	as := func(change func(f *forger)) *forger {
		g := *f
		change(&g)
		return &g
	}
	for name, message := range map[string][]byte{
		"without a signature":                     f.encrypt(next, text, nil),
		"with a signature of zeros":               f.encrypt(next, text, make([]byte, 64)),
		"signed with their own key":               f.encrypt(next, text, f.sign(keyOf("colluders"), text)),
		"signed by delivery":                      f.encrypt(next, text, f.sign(w.Delivery, text)),
		"with the signature of another message":   f.encrypt(next, text, f.signatureOf(t, 0, now.Messages[0].Ciphertext)),
		"another text in place of a signed one":   f.encrypt(1, text, f.signatureOf(t, 1, now.Messages[1].Ciphertext)),
		"her message of another epoch":            f.encrypt(next, text, forge(&before).signatureOf(t, 0, before.Messages[0].Ciphertext)),
		"her ciphertext of another epoch":         before.Messages[0].Ciphertext,
		"her message of another conversation":     f.encrypt(next, text, forge(&elsewhere).signatureOf(t, 0, elsewhere.Messages[0].Ciphertext)),
		"her ciphertext of another conversation":  elsewhere.Messages[0].Ciphertext,
		"bob's message as hers":                   f.encrypt(next, text, forge(&bob).signatureOf(t, 0, bob.Messages[0].Ciphertext)),
		"bob's ciphertext":                        bob.Messages[0].Ciphertext,
		"bob's leaf under her keys":               as(func(g *forger) { g.leaf = 1 }).encrypt(next, text, nil),
		"her words under another capsule's hash":  as(func(g *forger) { g.ad = make([]byte, 32) }).encrypt(0, "Noon?", f.signatureOf(t, 0, now.Messages[0].Ciphertext)),
		"nothing but noise":                       []byte("noise"),
		"a handshake message of hers, not a word": must(c.groups["alice"].Commit(mls.CommitOptions{})).Message,
	} {
		framed := now
		framed.Messages = append(slices.Clone(now.Messages), w.receive(message))
		w.state(&framed)
		contents := w.open(edits{}, framed)
		wants(t, w, contents, checkMessages)
		b, err := Build(contents, w.policy)
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

// The forger forges well: with the sender's own key its message verifies. What
// separates evidence from forgery is that key alone.
func TestForgerWithTheSendersKey(t *testing.T) {
	w := newWorld(t)
	c := w.converse(suite, "lunch", "alice", "bob")
	part := c.say("alice", "genuine")
	f, key := forge(&part), ed25519.NewKeyFromSeed(c.key["alice"].Bytes())
	part.Messages = append(part.Messages, w.receive(f.encrypt(1, "signed", f.sign(key, "signed"))))
	w.state(&part)
	r, err := w.verify(w.open(edits{}, part))
	if err != nil || *r.Compartments[0].Messages[1].Text != "signed" {
		t.Fatal(err)
	}
}

// The limit of R27: delivery can invent a conversation with a key of its own
// under somebody's name. Nothing in a bundle tells, but the report shows
// another fingerprint than the person's device has.
func TestR27InventedKeyShows(t *testing.T) {
	w := newWorld(t)
	real, invented := w.converse(suite, "real", "alice", "bob").say("alice", "x"), w.converse(suite, "invented", "alice", "bob").say("alice", "y")
	r, err := w.verify(w.open(edits{}, real, invented))
	if err != nil {
		t.Fatal(err)
	}
	a, b := r.Compartments[0].SigningKey, r.Compartments[1].SigningKey
	if a == b || len(a) != 32 {
		t.Errorf("fingerprints %s and %s", a, b)
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
