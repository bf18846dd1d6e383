package beacon

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"strings"

	"writ/internal/wire"
)

// Bounds of a ceremony.
const (
	MaxMembers  = 32
	MaxCeremony = 2 + 32 + 8 + 8 + 1 + 32 + 4 + MaxMembers*(2+wire.MaxName+ed25519.PublicKeySize+mailKeySize)
)

const mailKeySize = 1216 // X-Wing

// OperatorKey is the Ed25519 key with which an operator's documents verify.
type OperatorKey [ed25519.PublicKeySize]byte

// OperatorSigner is the private half of an [OperatorKey].
type OperatorSigner ed25519.PrivateKey

// Public returns the public half.
func (s OperatorSigner) Public() OperatorKey {
	return OperatorKey(ed25519.PrivateKey(s).Public().(ed25519.PublicKey))
}

// MailKey is an operator's X-Wing public key, 1216 bytes, to which shares are
// sealed.
type MailKey []byte

// MailOpener is the private half of a [MailKey].
type MailOpener struct{ private hpke.PrivateKey }

// NewMailOpener returns a fresh key.
func NewMailOpener() (*MailOpener, error) {
	private, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, invalid("mail key: %v", err)
	}
	return &MailOpener{private}, nil
}

// ParseMailOpener reads the 32 bytes of [MailOpener.Bytes].
func ParseMailOpener(b []byte) (*MailOpener, error) {
	private, err := hpke.MLKEM768X25519().NewPrivateKey(b)
	if err != nil {
		return nil, malformed("mail key: %v", err)
	}
	return &MailOpener{private}, nil
}

// Bytes returns the 32-byte private key, for storage.
func (k *MailOpener) Bytes() []byte {
	b, err := k.private.Bytes()
	if err != nil {
		panic("beacon: " + err.Error()) // keys of this package are in memory
	}
	return bytes.Clone(b)
}

// Public returns the public half.
func (k *MailOpener) Public() MailKey { return k.private.PublicKey().Bytes() }

// Member is an operator in a ceremony. Its place in the list, from 0, is its seat.
type Member struct {
	Name string // a wire name
	Key  OperatorKey
	Mail MailKey
}

// Ceremony says who shall share a key. Encoded: uint16 format = 1 || nonce[32]
// || uint64 genesis || uint64 period || uint8 threshold || previous[32] ||
// members<V> of {name<V> || key[32] || mail[1216]}.
type Ceremony struct {
	Nonce     [32]byte // chosen by who convenes, so that no two are alike
	Genesis   uint64   // clock of the beacon
	Period    uint64
	Threshold uint8    // 2 to len(Members), more than half
	Previous  [32]byte // hash of the group whose key is handed on; zero for a new key
	Members   []Member // 2 to MaxMembers, sorted by name, all keys distinct
}

// Encode returns the encoded ceremony.
func (c *Ceremony) Encode() []byte {
	var w wire.Writer
	w.Uint16(Format)
	w.Fixed(c.Nonce[:])
	w.Uint64(c.Genesis)
	w.Uint64(c.Period)
	w.Uint8(c.Threshold)
	w.Fixed(c.Previous[:])
	w.Vector(func(w *wire.Writer) {
		for _, m := range c.Members {
			w.String(m.Name)
			w.Fixed(m.Key[:])
			w.Fixed(m.Mail)
		}
	})
	return w.Bytes()
}

// ParseCeremony reads an encoded ceremony and checks its rules.
func ParseCeremony(b []byte) (*Ceremony, error) {
	r := wire.NewReader(b)
	if f := r.Uint16(); r.Err() == nil && f != Format {
		return nil, unsupported("ceremony format %d", f)
	}
	c := &Ceremony{Nonce: r.Array32(), Genesis: r.Uint64(), Period: r.Uint64(), Threshold: r.Uint8(), Previous: r.Array32()}
	list := r.Vector(MaxCeremony)
	for list.More() {
		c.Members = append(c.Members, Member{list.Name(), list.Array32(), append(MailKey(nil), list.Fixed(mailKeySize)...)})
	}
	r.Check(list.Done())
	if err := r.Done(); err != nil {
		return nil, wrap("ceremony", err)
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// Validate checks the rules of a ceremony. The threshold t is more than half of
// the n members, so that no two disjoint sets can sign. The smallest such t
// stands the most failures, n-t; a larger one stands more conspirators, t-1.
func (c *Ceremony) Validate() error {
	n, t := len(c.Members), int(c.Threshold)
	if n > MaxMembers || t < 2 || t > n || 2*t <= n {
		return invalid("ceremony: threshold %d of %d", t, n)
	}
	if err := checkClock(c.Genesis, c.Period); err != nil {
		return err
	}
	keys, mails := map[OperatorKey]bool{}, map[string]bool{}
	for i, m := range c.Members {
		if !wire.ValidName(m.Name) || i > 0 && strings.Compare(c.Members[i-1].Name, m.Name) >= 0 {
			return invalid("ceremony: members are not sorted by name")
		}
		if keys[m.Key] || mails[string(m.Mail)] {
			return invalid("ceremony: %s has a key of another", m.Name)
		}
		if _, err := m.Mail.recipient(); err != nil {
			return invalid("ceremony: mail key of %s: %v", m.Name, err)
		}
		keys[m.Key], mails[string(m.Mail)] = true, true
	}
	return nil
}

// Hash returns H("writ/v1 beacon ceremony", encoding).
func (c *Ceremony) Hash() [32]byte { return wire.Hash("beacon ceremony", c.Encode()) }

func (k MailKey) recipient() (hpke.PublicKey, error) {
	return hpke.MLKEM768X25519().NewPublicKey(k)
}

// seatOf returns the seat of the member with that key, or -1.
func seatOf(members []Member, key OperatorKey) int {
	for i, m := range members {
		if m.Key == key {
			return i
		}
	}
	return -1
}
