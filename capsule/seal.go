package capsule

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"writ/charter"
	"writ/internal/wire"
)

// Sealer makes and checks capsules under one access structure, whose keys it
// has parsed. It doesn't change and is safe for concurrent use.
type Sealer struct {
	access     *charter.Access
	encoded    []byte // of access
	recipients []recipient
	blank      []byte // the shares of a capsule, all their bytes zero but the lengths
}

// NewSealer parses the custodians' keys.
func NewSealer(a *charter.Access) (*Sealer, error) {
	s := &Sealer{access: a, encoded: a.Encode()}
	for _, l := range a.Leaves() {
		r, err := parseRecipient(l.KEM, l.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("custodian %s: %w", l.Custodian, err)
		}
		s.recipients = append(s.recipients, r)
	}
	var w wire.Writer
	for i := range s.recipients {
		w.Fixed(make([]byte, sha256.Size))
		w.Opaque(make([]byte, s.recipients[i].encSize()))
		w.Opaque(make([]byte, ShareSize+tagSize))
	}
	s.blank = w.Bytes()
	return s, nil
}

// Access returns the access structure under which s seals.
func (s *Sealer) Access() *charter.Access { return s.access }

// Seal makes the capsule of a compartment. The ratchet secret and the sender
// data secret both have the size of the suite's hash, 32 to 64 bytes; were
// their sizes free, two pairs could have the same s || d. It is an error if
// the label names another charter or period than the access structure's.
func (s *Sealer) Seal(l *Label, ratchet, senderData []byte) (*Capsule, error) {
	b, err := s.seal(l, ratchet, senderData)
	if err != nil {
		return nil, err
	}
	return parse(b)
}

// sealing is one capsule in the making.
type sealing struct {
	*Sealer
	ctx       [32]byte
	prk       []byte
	schedules map[charter.KEM]*schedule
	shares    []byte // filled in place, in the order of leaves
	rest      []byte // the end of shares that is still blank
}

func (s *Sealer) seal(l *Label, ratchet, senderData []byte) ([]byte, error) {
	m, err := s.start(l, ratchet, senderData)
	if err != nil {
		return nil, err
	}
	defer clear(m.prk)
	root, err := m.derive("root", nil, ShareSize)
	if err != nil {
		return nil, err
	}
	defer clear(root)
	body, err := m.body(root, ratchet, senderData)
	if err != nil {
		return nil, err
	}
	secret := load(root)
	defer clear(secret[:])
	if err := m.node(s.access.Root(), &secret); err != nil {
		return nil, err
	}
	var w wire.Writer
	w.Uint16(Version)
	l.write(&w)
	w.Opaque(body)
	w.Opaque(m.shares)
	return w.Bytes(), nil
}

func (s *Sealer) start(l *Label, ratchet, senderData []byte) (*sealing, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	if l.Charter != s.access.Charter() || l.Period != s.access.Period() {
		return nil, fmt.Errorf("capsule: %w: label of another charter or key period", ErrInvalid)
	}
	if n := len(ratchet); n < minSecret || n > maxSecret || n != len(senderData) {
		return nil, fmt.Errorf("capsule: %w: secrets of %d and %d bytes", ErrInvalid, n, len(senderData))
	}
	m := &sealing{Sealer: s, ctx: contextOf(l, s.encoded), schedules: map[charter.KEM]*schedule{},
		shares: bytes.Clone(s.blank)}
	m.rest = m.shares
	ikm := slices.Concat(ratchet, senderData)
	defer clear(ikm)
	var err error
	m.prk, err = hkdf.Extract(sha256.New, ikm, m.ctx[:])
	return m, err
}

// derive returns what prk gives for a name and a path.
func (m *sealing) derive(name string, path []byte, size int) ([]byte, error) {
	return hkdf.Expand(sha256.New, m.prk, wire.Label(name)+string(path), size)
}

// BodyKey returns the key of a capsule's body from R, the root's secret.
func BodyKey(root []byte) ([]byte, error) {
	return hkdf.Expand(sha256.New, root, wire.Label("body"), chacha20poly1305.KeySize)
}

func (m *sealing) body(root, ratchet, senderData []byte) ([]byte, error) {
	key, err := BodyKey(root)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, err
	}
	var s, d wire.Writer
	s.Opaque(ratchet)
	d.Opaque(senderData)
	plain := slices.Concat(s.Bytes(), d.Bytes())
	defer clear(plain)
	defer clear(s.Bytes())
	defer clear(d.Bytes())
	var nonce [chacha20poly1305.NonceSize]byte
	return aead.Seal(nil, nonce[:], plain, m.ctx[:]), nil
}

// node shares a node's secret out to the custodians below it.
func (m *sealing) node(g *charter.Gate, secret *element) error {
	if g.Leaf >= 0 {
		return m.leaf(g, secret)
	}
	coefficients, err := m.derive("gate", g.Path, ShareSize*int(g.Threshold-1))
	if err != nil {
		return err
	}
	defer clear(coefficients)
	for i, child := range g.Children {
		part := share(secret, coefficients, uint8(i+1))
		err := m.node(child, &part)
		clear(part[:])
		if err != nil {
			return err
		}
	}
	return nil
}

// leaf seals a custodian's share.
func (m *sealing) leaf(g *charter.Gate, secret *element) error {
	var plain [ShareSize]byte
	defer clear(plain[:])
	secret.store(plain[:])
	to := &m.recipients[g.Leaf]
	coins, err := m.derive("coins", g.Path, to.coinSize())
	if err != nil {
		return err
	}
	defer clear(coins)
	commitment, enc, ciphertext := m.next(to)
	shared, err := to.encapsulate(enc, coins)
	if err != nil {
		return err
	}
	defer clear(shared[:])
	keys, err := m.schedule(to.kem)
	if err != nil {
		return err
	}
	*commitment = Commitment(m.ctx, g.Path, plain[:])
	_, err = keys.seal(ciphertext[:0], shared[:], commitment[:], plain[:])
	return err
}

// next returns the places of the next share's parts. The lengths before enc
// and ciphertext are there already.
func (m *sealing) next(to *recipient) (commitment *[32]byte, enc, ciphertext []byte) {
	const length, ciphertextLength = 2, 1 // of the lengths, by RFC 9420 section 2.1.2
	take := func(n int) []byte {
		b := m.rest[:n:n]
		m.rest = m.rest[n:]
		return b
	}
	commitment = (*[32]byte)(take(sha256.Size))
	take(length)
	enc = take(to.encSize())
	take(ciphertextLength)
	return commitment, enc, take(ShareSize + tagSize)
}

func (m *sealing) schedule(kem charter.KEM) (*schedule, error) {
	if s, ok := m.schedules[kem]; ok {
		return s, nil
	}
	s, err := newSchedule(kem, m.ctx[:])
	if err == nil {
		m.schedules[kem] = s
	}
	return s, err
}
