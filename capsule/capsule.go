// Package capsule seals the secret of one compartment to custodians, in such a
// way that everybody who knows the secret can recompute the seal and compare
// every byte.
//
// # Terms
//
// A compartment is what one device says in one epoch of one conversation. Its
// messages hang on two MLS secrets (RFC 9420 section 9): s, the application
// ratchet secret of the sender's leaf at generation 0, and d, the epoch's
// sender_data_secret. A capsule is both, shared out by the access structure of
// the sender's charter. A [Label] says which compartment it is.
//
// # Format
//
// Everything is a function of s, d, the label and the access structure with
// its public keys:
//
//	ctx  = H("writ/v1 capsule", label, access structure)
//	prk  = HKDF-Extract-SHA256(salt = ctx, s || d)
//	R    = HKDF-Expand(prk, "writ/v1 root", 32)
//	gate = HKDF-Expand(prk, "writ/v1 gate" || path, 32*(k-1))  coefficients
//	coins= HKDF-Expand(prk, "writ/v1 coins" || path, KEM's seed size)
//
//	struct { uint16 version = 1; Label label; opaque body<V>; Share shares<V>; } Capsule;
//	struct { opaque commitment[32]; opaque enc<V>; opaque ciphertext<V>; } Share;
//
// A path is the child indexes from the root, a byte each. R is the secret of
// the root gate; the share of child i at a gate, its polynomial's value at
// i+1, is the child's secret ([CombineShares] undoes one gate). At a custodian
//
//	commitment = H("writ/v1 share commitment", ctx, path, share)
//
// and enc and ciphertext are HPKE (RFC 9180, base mode, HKDF-SHA256,
// ChaCha20-Poly1305, info = ctx, aad = commitment) with the derived coins in
// place of random ones. The body is ChaCha20-Poly1305 with key
// HKDF-Expand(R, "writ/v1 body", 32), nonce 0, aad ctx, of s<V> || d<V>. Key
// and nonce meet once only: R belongs to one ctx and one content.
//
// # Guarantees
//
// Two devices with the same inputs get the same bytes. [Sealer.Check] accepts
// exactly one byte string, so a capsule for another sender, conversation,
// epoch, charter, period or custodian set is refused, and so is one whose
// shares don't open. Coins and coefficients depend on ctx: shares of two
// custodian sets don't add up.
//
// # What it does not do
//
// It holds no custodian's key and opens no share: that is package unseal. It only
// combines shares that were opened ([Sealer.Open]). It doesn't know whether the
// label is true: callers fill it from the group's own state, with the period
// that the charter gives for [Label.OpenedAt]. A capsule hides nothing from the
// members of the conversation, who know s and d.
//
// # Example
//
//	sealer, err := capsule.NewSealer(access) // once per charter and period
//	c, err := sealer.Seal(label, s, d)
//	err = sealer.Check(c.Bytes(), label, s, d)
package capsule

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"writ/charter"
	"writ/internal/wire"
)

// Version is the only version of a capsule and of its label.
const Version = 1

// ShareSize is the size in bytes of a share, of R and of a gate's secret.
const ShareSize = 32

// MaxSize bounds a capsule's encoding in bytes: 64 custodians with
// MLKEM768-P256 need less.
const MaxSize = 96 << 10

const (
	maxConversation = 64
	minSecret       = 32
	maxSecret       = 64
	tagSize         = 16
)

// ErrInvalid is wrapped by errors about what parses but isn't right.
var ErrInvalid = errors.New("invalid")

// Hash names a capsule: H("writ/v1 capsule hash", encoding).
type Hash [32]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Label says which compartment a capsule is of. It stands in the clear.
//
//	struct { uint16 version = 1; uint16 suite; opaque conversation<V>; uint64 epoch;
//	  uint32 leaf; opaque account<V>; opaque device<V>; opaque charter[32];
//	  uint32 period; uint64 opened; opaque roster[32]; uint8 flags; } Label;
type Label struct {
	Suite        uint16 // MLS cipher suite
	Conversation []byte // MLS group id, 1 to 64 bytes
	Epoch        uint64
	Leaf         uint32 // sender's leaf index
	Account      string // name
	Device       string // name
	Charter      charter.Hash
	Period       uint32   // key period of the custodians' keys
	Opened       uint64   // Unix time in seconds at which the MLS epoch was opened
	Roster       [32]byte // directory.RosterRoot of the member accounts
	Flags        Flags    // of the conversation: [FlagsOf]
}

// OpenedAt returns the time at which the epoch was opened. The label's period is
// the charter's period at this time.
func (l *Label) OpenedAt() time.Time { return time.Unix(int64(l.Opened), 0).UTC() }

// Encode returns the canonical encoding.
func (l *Label) Encode() []byte {
	var w wire.Writer
	l.write(&w)
	return w.Bytes()
}

func (l *Label) write(w *wire.Writer) {
	w.Uint16(Version)
	w.Uint16(l.Suite)
	w.Opaque(l.Conversation)
	w.Uint64(l.Epoch)
	w.Uint32(l.Leaf)
	w.String(l.Account)
	w.String(l.Device)
	w.Fixed(l.Charter[:])
	w.Uint32(l.Period)
	w.Uint64(l.Opened)
	w.Fixed(l.Roster[:])
	w.Uint8(uint8(l.Flags))
}

func readLabel(r *wire.Reader) Label {
	if v := r.Uint16(); v != Version {
		r.Fail("label version %d", v)
	}
	l := Label{Suite: r.Uint16(), Conversation: r.Opaque(maxConversation), Epoch: r.Uint64(), Leaf: r.Uint32(),
		Account: r.Name(), Device: r.Name(), Charter: r.Array32(), Period: r.Uint32(), Opened: r.Uint64(),
		Roster: r.Array32(), Flags: Flags(r.Uint8())}
	if len(l.Conversation) == 0 {
		r.Fail("empty conversation id")
	}
	if l.Flags&^Privileged != 0 {
		r.Fail("unsupported flags %#02x", uint8(l.Flags))
	}
	return l
}

// ParseLabel reads an encoded label.
func ParseLabel(b []byte) (*Label, error) {
	r := wire.NewReader(b)
	l := readLabel(r)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("capsule: label: %w", err)
	}
	l.Conversation = bytes.Clone(l.Conversation)
	return &l, nil
}

// check refuses a label whose encoding would not parse.
func (l *Label) check() error {
	if n := len(l.Conversation); n < 1 || n > maxConversation {
		return fmt.Errorf("capsule: %w: conversation id of %d bytes", ErrInvalid, n)
	}
	if !wire.ValidName(l.Account) || !wire.ValidName(l.Device) {
		return fmt.Errorf("capsule: %w: account %q, device %q", ErrInvalid, l.Account, l.Device)
	}
	if l.Flags&^Privileged != 0 {
		return fmt.Errorf("capsule: %w: flags %#02x", ErrInvalid, uint8(l.Flags))
	}
	return nil
}

// Share is a custodian's part of a capsule. Shares stand in the order of
// [charter.Access.Leaves].
type Share struct {
	Commitment [32]byte
	Enc        []byte // 1120 bytes for X-Wing, 1153 for MLKEM768-P256
	Ciphertext []byte // 48 bytes
}

// Capsule is a sealed compartment whose form is right. Its content is known to
// be right only after [Sealer.Check].
type Capsule struct {
	encoded []byte
	label   Label
	body    []byte
	shares  []Share
}

// Parse parses a capsule of at most [MaxSize] bytes; its error wraps
// [wire.ErrMalformed]. It checks the form only.
func Parse(b []byte) (*Capsule, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("capsule: %w: %d bytes", wire.ErrMalformed, len(b))
	}
	return parse(bytes.Clone(b))
}

// parse is Parse of bytes that nobody else changes.
func parse(b []byte) (*Capsule, error) {
	r := wire.NewReader(b)
	if v := r.Uint16(); v != Version {
		r.Fail("version %d", v)
	}
	c := &Capsule{encoded: b, label: readLabel(r)}
	c.body = r.Opaque(2*(2+maxSecret) + tagSize)
	v := r.Vector(MaxSize)
	c.shares = make([]Share, 0, 8)
	for v.More() {
		c.shares = append(c.shares, Share{v.Array32(), v.Opaque(maxEncSize), v.Opaque(ShareSize + tagSize)})
	}
	r.Check(v.Done())
	if len(c.shares) == 0 {
		r.Fail("no shares")
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("capsule: %w", err)
	}
	return c, nil
}

// Bytes returns the encoding. Callers don't change it, nor what the other
// methods return.
func (c *Capsule) Bytes() []byte { return c.encoded }

// Hash returns the capsule's hash, which messages carry.
func (c *Capsule) Hash() Hash { return HashOf(c.encoded) }

// HashOf returns the hash of a capsule's encoding.
func HashOf(encoded []byte) Hash { return wire.Hash("capsule hash", encoded) }

// Label returns what the capsule says it is of.
func (c *Capsule) Label() *Label { return &c.label }

// Shares returns the custodians' parts.
func (c *Capsule) Shares() []Share { return c.shares }

// Body returns the sealed secrets.
func (c *Capsule) Body() []byte { return c.body }

// Context returns ctx, to which all parts of a capsule are bound.
func Context(l *Label, a *charter.Access) [32]byte { return contextOf(l, a.Encode()) }

func contextOf(l *Label, access []byte) [32]byte { return wire.Hash("capsule", l.Encode(), access) }

// Commitment returns the commitment to a custodian's share.
func Commitment(ctx [32]byte, path, share []byte) [32]byte {
	return wire.Hash("share commitment", ctx[:], path, share)
}
